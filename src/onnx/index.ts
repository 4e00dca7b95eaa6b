export {
  type DecodedAttribute,
  decodeModel,
  type OnnxModel,
  type OnnxNode,
  type OnnxValueInfo,
} from "./decoder.js";
export type { EmittedModel } from "./emit.js";
export { type ExportOptions, exportOnnx, exportOpsets } from "./export.js";
