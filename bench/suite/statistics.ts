import { spreadOf } from "../../src/report/timing.js";

/** Geometric mean of at least one positive value, the mean that ratios have. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((total, value) => total + Math.log(value), 0) / values.length);
}

/** Median of at least one value; of an even number the upper of the middle two, as in `spreadOf`. */
export function medianOf(values: readonly number[]): number {
  return spreadOf(values).median;
}
