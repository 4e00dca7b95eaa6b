export { type FileDType, type FileTensor, toHostTensor } from "./file-tensor.js";
export { type IdxArray, type IdxData, readIdx } from "./idx.js";
export {
  readSafetensors,
  type Safetensors,
  type WritableTensor,
  writeSafetensors,
} from "./safetensors.js";
