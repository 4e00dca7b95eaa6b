/** What fovea exports on every platform. */
export * from "./attention/index.js";
export { type DType, elementCount, type HostArray, type HostTensor } from "./base/dtype.js";
export * from "./base/errors.js";
export { version } from "./base/version.js";
export * from "./data/index.js";
export * from "./explain/index.js";
export * from "./formats/index.js";
export {
  batch,
  type Graph,
  type HostFunction,
  hostCall,
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
export * from "./train/index.js";
export * from "./verify/index.js";
