export { type Attachments, type AttachOptions, type AttachPoint, attach } from "./attach.js";
export {
  type CheckpointReport,
  type LoadCheckpointOptions,
  loadCheckpoint,
  type TensorNames,
} from "./checkpoint-load.js";
export { type SaveWeightsOptions, saveWeights } from "./checkpoint-save.js";
export type { AttentionFactory } from "./hosted-attention.js";
export type { ImageModel, ImageTask } from "./image-model.js";
export {
  MobileNetV2,
  type MobileNetV2Options,
  type MobileNetV2Stage,
} from "./mobilenet-v2.js";
export {
  MobileNetV3,
  type MobileNetV3Architecture,
  type MobileNetV3Block,
  type MobileNetV3Options,
} from "./mobilenet-v3.js";
export type { HostedMechanism, ModelOptions } from "./network.js";
export type { ModelInfo, ModelName, ModelQuery } from "./registry.js";
export * as models from "./registry.js";
export * from "./residual-block.js";
export * from "./resnet.js";
export {
  type SkipGate,
  type SkipGateFactory,
  UNet,
  type UNetOptions,
  type Upsampling,
} from "./u-net.js";
