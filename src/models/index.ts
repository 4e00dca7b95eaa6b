export { type Attachments, type AttachOptions, type AttachPoint, attach } from "./attach.js";
export * from "./registry.js";
export * from "./residual-block.js";
export * from "./resnet.js";
