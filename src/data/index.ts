export * from "./augment.js";
export { type CifarFile, type CifarLabels, parseCifar10, parseCifar100 } from "./cifar.js";
export { cifar10Classes, cifar100Classes, cifar100CoarseClasses } from "./cifar-classes.js";
export { type ColorJitterOptions, colorJitter } from "./color-jitter.js";
export type { ImageSize } from "./crop.js";
export * from "./dataset.js";
export * from "./loader.js";
export { type BatchMix, cutmix, type MixOptions, mixup } from "./mix.js";
export { type MnistFiles, parseMnist } from "./mnist.js";
export { type Normalization, type NormalizationName, namedNormalization } from "./normalization.js";
export { SampleOrder } from "./order.js";
export {
  type ImagePreprocessing,
  type ImageResizing,
  type Interpolation,
  preprocessingOf,
  readPreprocessing,
} from "./preprocessing.js";
export { type RandomErasingOptions, randomErasing } from "./random-erasing.js";
export { readableImages } from "./readable.js";
export { type Split, type SplitOptions, splitDataset } from "./split.js";
export { computeNormalization, type StatisticsOptions } from "./statistics.js";
