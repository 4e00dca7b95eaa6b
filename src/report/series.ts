import { OptionError } from "../base/errors.js";

/** A point of a line; a NaN value breaks the line. */
export type Point = readonly [x: number, y: number];

/**
 * Exponentially weighted mean to both sides: the point k places away counts `smoothing ** k`, so that a curve is not
 * delayed as by a one-sided average. Values that are not finite stay as they are and are left out of the means.
 * @throws OptionError for a smoothing outside 0..1 (1 excluded)
 */
export function smoothed(points: readonly Point[], smoothing: number): Point[] {
  if (!(smoothing >= 0 && smoothing < 1)) {
    throw new OptionError(`smoothing: expected at least 0 and less than 1; found ${smoothing}`);
  }
  const sums = new Float64Array(points.length);
  const weights = new Float64Array(points.length);
  const sweep = (order: Iterable<number>, own: number) => {
    let [sum, weight] = [0, 0];
    for (const i of order) {
      const y = points[i]![1];
      [sum, weight] = [smoothing * sum, smoothing * weight];
      // The point itself is counted by one of the two sweeps only.
      sums[i]! += sum;
      weights[i]! += weight;
      if (!Number.isFinite(y)) continue;
      sums[i]! += own * y;
      weights[i]! += own;
      sum += y;
      weight++;
    }
  };
  sweep(points.keys(), 1);
  sweep([...points.keys()].reverse(), 0);
  return points.map(([x, y], i) => [x, Number.isFinite(y) ? sums[i]! / weights[i]! : y]);
}

/** Keeps first, lowest, highest and last point of each of `columns` equal stretches, so that the line looks the same. */
export function thinned(points: readonly Point[], columns: number): readonly Point[] {
  if (points.length <= 4 * columns) return points;
  const kept: Point[] = [];
  for (let c = 0; c < columns; c++) {
    const from = Math.floor((c * points.length) / columns);
    const to = Math.floor(((c + 1) * points.length) / columns);
    let [low, high] = [from, from];
    const chosen = new Set([from, to - 1]);
    for (let i = from; i < to; i++) {
      const y = points[i]![1];
      if (Number.isNaN(y)) chosen.add(i);
      if (y < points[low]![1] || Number.isNaN(points[low]![1])) low = i;
      if (y > points[high]![1] || Number.isNaN(points[high]![1])) high = i;
    }
    for (const i of [...chosen.add(low).add(high)].sort((a, b) => a - b)) kept.push(points[i]!);
  }
  return kept;
}

/** Path data of a line through positions in pixels; positions that are not finite break it. */
export function linePath(positions: readonly Point[]): string {
  let path = "";
  let pen = "M";
  for (const [x, y] of positions) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      pen = "M";
      continue;
    }
    path += `${pen}${Number(x.toFixed(1))} ${Number(y.toFixed(1))}`;
    pen = "L";
  }
  return path;
}
