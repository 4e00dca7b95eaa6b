export * from "./batch-norm.js";
export * from "./conv.js";
export * from "./dropout.js";
export * from "./linear.js";
export * from "./module.js";
export * from "./sequential.js";
export * from "./state-dict.js";
export * from "./variables.js";
