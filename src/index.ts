/**
 * fovea for Node.js. Sessions run on ONNX Runtime in a worker thread. Operators are under `ops` here and one by one in
 * `fovea/ops`; the other parts have entries of their own as well (`fovea/attention`, `fovea/nn`, `fovea/train` ...).
 */
import { nodeRuntime } from "./runtime/node.js";
import { provideRuntime } from "./runtime/provider.js";

provideRuntime(nodeRuntime);

export { type Cifar, loadCifar10, loadCifar100 } from "./data/node-cifar.js";
export {
  type ImageFolder,
  type ImageFolderOptions,
  loadImageFolder,
  type TrainingCrop,
} from "./data/node-image-folder.js";
export { type LoadedImage, loadImage } from "./data/node-load-image.js";
export { loadMnist, type Mnist } from "./data/node-mnist.js";
export * from "./public.js";
export { callingThreadRuntime, nodeRuntime } from "./runtime/node.js";
export { type RunConfig, RunFolder } from "./train/node-run-folder.js";
