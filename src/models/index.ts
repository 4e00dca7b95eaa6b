export * from "./registry.js";
export * from "./residual-block.js";
export * from "./resnet.js";
