import type { HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";

/** One row of a matrix of values. */
export function rowOf({ data, shape }: HostTensor, row: number): Float32Array {
  const size = shape.slice(1).reduce((product, length) => product * length, 1);
  return (data as Float32Array).slice(row * size, (row + 1) * size);
}

/** Probabilities of one row of logits. */
export function softmax(logits: Float32Array): Float32Array {
  const highest = logits.reduce((best, value) => Math.max(best, value), Number.NEGATIVE_INFINITY);
  const weights = logits.map((value) => Math.exp(value - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** Index of the highest score. */
export function highestScore(logits: Float32Array): number {
  return logits.reduce((best, value, index) => (value > logits[best]! ? index : best), 0);
}

/** The classes to explain: those asked for, or the predicted one. @throws OptionError for one that there is not */
export function chosenClasses(asked: readonly number[] | undefined, logits: Float32Array): readonly number[] {
  for (const label of asked ?? []) {
    if (!Number.isInteger(label) || label < 0 || label >= logits.length) {
      throw new OptionError(`explain: class ${label}; the network has classes 0 to ${logits.length - 1}`);
    }
  }
  return asked ?? [highestScore(logits)];
}
