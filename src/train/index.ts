export {
  type AveragePrecision,
  averagePrecision,
  type Box,
  boxIou,
  type Detection,
  type DetectionTarget,
} from "./average-precision.js";
export * from "./checkpoint.js";
export type { Clipping } from "./clipping.js";
export * from "./confusion-matrix.js";
export type { EvaluationData, TrainingBatch, TrainingData } from "./data.js";
export { NonFiniteError, type NonFiniteKind, type NonFiniteValue } from "./errors.js";
export * from "./evaluate.js";
export * from "./events.js";
export * from "./export-step.js";
export * from "./fit.js";
export type * from "./fit-options.js";
export type { EarlyStopping, WatchedMetric, WatchState } from "./improvement.js";
export {
  type BinaryCrossEntropyOptions,
  binaryCrossEntropy,
  type CrossEntropyOptions,
  crossEntropy,
  type DiceLossOptions,
  diceLoss,
  type Loss,
  meanSquaredError,
} from "./losses.js";
export * from "./metrics.js";
export type { MovingAverage } from "./moving-average.js";
export * from "./objective.js";
export * from "./optimizers.js";
export { noDecayForBiasesAndNorms, type ParameterGroup } from "./parameter-groups.js";
export type { RunStorage } from "./run-storage.js";
export * from "./running-averages.js";
export * from "./schedules.js";
export * from "./trainer.js";
export { buildTrainingStep, type TrainingStep, type TrainingStepOptions } from "./training-step.js";
