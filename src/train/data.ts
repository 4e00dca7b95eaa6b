import type { HostTensor } from "../base/dtype.js";
import { DataError } from "../base/errors.js";
import { type Batch, Loader } from "../data/loader.js";
import type { InputType } from "../graph/model.js";

/** Tensors of a batch by name; the first axis of each counts samples. Pairs are `x` (input) and `y` (target). */
export type TrainingBatch = Readonly<Record<string, HostTensor>>;

/** Batches to train on. What a step gets depends on the step alone, so that a run can go on at any step. */
export interface TrainingData {
  /** The batch of a step, counted from 0; every step's has the same shapes. */
  batch(step: number): TrainingBatch | Promise<TrainingBatch>;
  /** How many times the data were gone through before a step's first sample. */
  epoch(step: number): number;
  /** The batches of the steps from `start` to before `end`, prepared ahead. */
  prefetch?(start: number, end: number): AsyncIterable<TrainingBatch>;
}

/** Batches to evaluate on: each sample once, the last batch may be smaller. */
export interface EvaluationData {
  batches(): Iterable<TrainingBatch> | AsyncIterable<TrainingBatch>;
}

/** A loader's batches as pairs: images `x` [B, C, H, W] and labels `y` [B], or class shares `y` [B, classes] of mixed images. */
export function trainingData(source: Loader | TrainingData): TrainingData {
  if (!(source instanceof Loader)) return source;
  return {
    batch: async (step) => pair(source, await source.batch(step)),
    epoch: (step) => source.epoch(step),
    async *prefetch(start, end) {
      for await (const batch of source.prefetch(start, { end })) yield pair(source, batch);
    },
  };
}

/** All images of a loader's data set once, in order and without augmentation. */
export function evaluationData(source: Loader | EvaluationData): EvaluationData {
  if (!(source instanceof Loader)) return source;
  return {
    async *batches() {
      for await (const batch of source.sequential()) yield pair(source, batch);
    },
  };
}

function pair({ dataset }: Loader, { x, y, targets }: Batch): TrainingBatch {
  return {
    x: { dtype: "float32", shape: [y.length, ...dataset.imageShape], data: x },
    y: targets
      ? { dtype: "float32", shape: [y.length, dataset.classes.length], data: targets }
      : { dtype: "int64", shape: [y.length], data: y },
  };
}

/** Shapes and dtypes of a batch. */
export function batchTypes(batch: TrainingBatch): Record<string, InputType> {
  return Object.fromEntries(
    Object.entries(batch).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
}

/** Number of samples of a batch. @throws DataError where its tensors differ in it */
export function sampleCount(batch: TrainingBatch): number {
  const counts = new Set(Object.values(batch).map(({ shape }) => shape[0]));
  const [count] = counts;
  if (counts.size !== 1 || count === undefined) {
    const shapes = Object.entries(batch).map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
    throw new DataError(
      `the first axis of every tensor of a batch counts its samples; found ${shapes.join(", ")}`,
    );
  }
  return count;
}

/** Refuses labels that are no class. @throws DataError */
export function checkLabels(batch: TrainingBatch, name: string, classes: number): void {
  const { data } = batch[name]!;
  for (let index = 0; index < data.length; index++) {
    const label = Number(data[index]);
    if (label >= 0 && label < classes) continue;
    throw new DataError(
      `label ${index} of a batch (${name}) is ${label}; the model's classes are 0 to ${classes - 1}`,
    );
  }
}

/** The batches of the steps from `start` to before `end`. */
export async function* batchesOf(
  data: TrainingData,
  start: number,
  end: number,
): AsyncGenerator<TrainingBatch, void, undefined> {
  if (data.prefetch) yield* data.prefetch(start, end);
  else for (let step = start; step < end; step++) yield await data.batch(step);
}
