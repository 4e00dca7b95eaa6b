export * from "./augment.js";
export * from "./dataset.js";
export * from "./loader.js";
export { type MnistFiles, parseMnist } from "./mnist.js";
export type { Normalization } from "./normalization.js";
export { SampleOrder } from "./order.js";
