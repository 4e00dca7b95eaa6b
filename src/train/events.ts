import type { DeviceChoice } from "../runtime/devices.js";

/** A run is about to take its first step. */
export interface BeginEvent {
  readonly type: "begin";
  /** Steps that were completed before, in the run that is resumed. */
  readonly step: number;
  readonly totalSteps: number;
  readonly samplesPerStep: number;
  /** Nodes of the training step's model. */
  readonly nodeCount: number;
  /** Where the steps run. */
  readonly device: DeviceChoice;
  readonly threads: number;
}

/** A step is complete. */
export interface StepEvent {
  readonly type: "step";
  /** Number of steps completed. */
  readonly step: number;
  /** Epoch of the step's first sample, from 1. */
  readonly epoch: number;
  /** Of the batch, before the update. */
  readonly loss: number;
  /** Per sample. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly milliseconds: number;
}

/** The data have been gone through once more. */
export interface EpochEvent {
  readonly type: "epoch";
  readonly step: number;
  /** Number of epochs completed. */
  readonly epoch: number;
  /** Averages over the epoch's steps, while the weights changed. */
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly milliseconds: number;
}

/** The validation is done. */
export interface EvaluationEvent {
  readonly type: "evaluation";
  readonly step: number;
  /** Number of epochs completed. */
  readonly epoch: number;
  /** `loss` and metrics, or what a validation function returned. */
  readonly values: Readonly<Record<string, number>>;
  readonly milliseconds: number;
}

/** A checkpoint is stored. */
export interface CheckpointEvent {
  readonly type: "checkpoint";
  readonly step: number;
  readonly name: "last" | "best";
}

/** Why a run ended. */
export type EndReason = "completed" | "early-stopping" | "aborted" | "non-finite";

/** The run has ended; the model has its weights. */
export interface EndEvent {
  readonly type: "end";
  readonly step: number;
  readonly epoch: number;
  readonly reason: EndReason;
  readonly milliseconds: number;
}

/** What `fit` tells its callbacks. */
export type FitEvent = BeginEvent | StepEvent | EpochEvent | EvaluationEvent | CheckpointEvent | EndEvent;

/** Called with each event, in order; a promise is awaited. An error ends the run. */
export type Callback = (event: FitEvent) => void | Promise<void>;

/** Events that are kept in a run's metrics. All fields but `milliseconds` are the same for a resumed and an uninterrupted run. */
export type RecordedEvent = StepEvent | EpochEvent | EvaluationEvent | EndEvent;
