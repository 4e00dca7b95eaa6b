export * from "./catalogue.js";
export * from "./channel/squeeze-excitation.js";
export * from "./channel-spatial/cbam.js";
export * from "./mechanism.js";
export * from "./spatial/apnb.js";
export * from "./spatial/ccnet.js";
