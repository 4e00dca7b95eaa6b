export { type FileDType, type FileTensor, toHostTensor } from "./file-tensor.js";
export type { CheckpointValue } from "./flatten.js";
export { type IdxArray, type IdxData, readIdx } from "./idx.js";
export { readNpy, writeNpy } from "./npy.js";
export { type PyTorchCheckpoint, type ReadPyTorchOptions, readPyTorch } from "./pytorch.js";
export {
  readSafetensors,
  type Safetensors,
  type WritableTensor,
  writeSafetensors,
} from "./safetensors.js";
export { type ReadTensorFileOptions, readTensorFile, type TensorFile } from "./tensor-file.js";
export {
  type CheckpointNames,
  fromTorchNames,
  type NamesFromTorch,
  type NamesToTorch,
  type TorchNameOptions,
  toTorchNames,
} from "./torch-names.js";
