/**
 * fovea for Node.js. Sessions run on ONNX Runtime in a worker thread. Operators are under `ops` here and one by one in
 * `fovea/ops`; the other parts have entries of their own as well (`fovea/attention`, `fovea/nn`, `fovea/train` ...).
 */
import { nodeRuntime } from "./runtime/node.js";
import { provideRuntime } from "./runtime/provider.js";

provideRuntime(nodeRuntime);

export * from "./attention/index.js";
export { type DType, elementCount, type HostArray, type HostTensor } from "./base/dtype.js";
export * from "./base/errors.js";
export { version } from "./base/version.js";
export * from "./data/index.js";
export { loadMnist, type Mnist } from "./data/node-mnist.js";
export * from "./explain/index.js";
export * from "./formats/index.js";
export {
  batch,
  type Graph,
  type InputType,
  initialize,
  type Model,
  namedParameters,
  namedVariables,
  type Outputs,
  parameterCount,
  type Shape,
  type Size,
  Tensor,
  type Traceable,
  type TraceOptions,
  trace,
  Variable,
} from "./graph/index.js";
export * from "./models/index.js";
export * from "./nn/index.js";
export * from "./onnx/index.js";
export * as ops from "./ops/index.js";
export * from "./report/index.js";
export * from "./runtime/index.js";
export { nodeRuntime } from "./runtime/node.js";
export * from "./train/index.js";
export { type RunConfig, RunFolder } from "./train/node-run-folder.js";
export * from "./verify/index.js";
