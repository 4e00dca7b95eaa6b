import type { Loader } from "../data/loader.js";
import type { Runtime, SessionOptions } from "../runtime/types.js";
import type { Clipping } from "./clipping.js";
import type { EvaluationData, TrainingData } from "./data.js";
import type { Callback, EndReason } from "./events.js";
import type { EarlyStopping, WatchedMetric } from "./improvement.js";
import type { MovingAverage } from "./moving-average.js";
import type { Task } from "./objective.js";
import type { Optimizer } from "./optimizers.js";
import type { ParameterGroup } from "./parameter-groups.js";
import type { RunStorage } from "./run-storage.js";
import type { Schedule } from "./schedules.js";

/** Evaluates the model, which has the weights of the step (their moving average where one is kept). */
export type Validation = (context: {
  readonly step: number;
  readonly epoch: number;
}) => Readonly<Record<string, number>> | Promise<Readonly<Record<string, number>>>;

/** How to train. */
export interface FitSettings {
  readonly data: Loader | TrainingData;
  readonly optimizer: Optimizer;
  /** Learning rate of each update, or the same for all. */
  readonly schedule: Schedule | number;
  /** Length of the run: times the data are gone through, or steps. */
  readonly epochs?: number;
  readonly steps?: number;
  /** Seed of initial weights and dropout; 0 by default. The order of the data has the loader's own. */
  readonly seed?: number;
  readonly groups?: readonly ParameterGroup[];
  readonly clip?: Clipping;
  /** Batches whose mean gradient makes one update of the weights; 1 by default. An incomplete last group makes none. */
  readonly accumulate?: number;
  /** Moving average of the weights: it is what is evaluated, and what the model has in the end. */
  readonly ema?: MovingAverage;
  /** Data, or a function, to evaluate after each epoch and at the end. */
  readonly validation?: Loader | EvaluationData | Validation;
  readonly earlyStopping?: EarlyStopping;
  /** Metric of the validation by which the best weights are chosen; by default accuracy where it is known, else the loss. */
  readonly best?: WatchedMetric;
  readonly callbacks?: readonly Callback[];
  /** Ends the run after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Where metrics and checkpoints are kept; nowhere by default. */
  readonly run?: RunStorage;
  /** Steps between checkpoints, beside those after each epoch. */
  readonly checkpointEvery?: number;
  /** Goes on from the last checkpoint of `run`, or begins where there is none. */
  readonly resume?: boolean;
  /** What the model is, kept in checkpoints: one of another description is refused on resume. */
  readonly description?: string;
  /** Device and threads of the sessions. */
  readonly session?: SessionOptions;
  readonly runtime?: Runtime;
}

export type FitOptions = Task & FitSettings;

/** How a run went. */
export interface FitResult {
  /** Steps completed, those before a resume included. */
  readonly step: number;
  /** Epochs completed. */
  readonly epoch: number;
  readonly reason: EndReason;
  /** Loss of the last step's batch; undefined where none was left to take. */
  readonly loss?: number;
  /** Values of the last evaluation; none without a validation. */
  readonly evaluation: Readonly<Record<string, number>>;
  /** Best value of the watched metric. */
  readonly best?: number;
  readonly milliseconds: number;
}
