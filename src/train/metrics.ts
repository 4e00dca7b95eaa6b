import { checkInteger } from "../base/check.js";
import type { Tensor } from "../graph/tensor.js";
import { add, div, maximum, mul, sub } from "../ops/arithmetic.js";
import { cast, equal, greater, greaterOrEqual, not, where } from "../ops/compare.js";
import { argMax, sum } from "../ops/reduce.js";
import { reshape } from "../ops/shape.js";
import { classIndicator, classIndices } from "./losses.js";

/** A metric: a scalar of a model's output and its targets, summed over the samples. It is reported per sample. */
export type Metric = (output: Tensor, targets: Tensor) => Tensor;

/**
 * Number of labels whose class has the largest score; of equal scores the first class counts, a score that is not a number beats all.
 * @param logits [N, C] or [N, C, ...]
 * @param labels int64 [N] or [N, ...]
 * @returns a scalar
 */
export function correctCount(logits: Tensor, labels: Tensor): Tensor {
  return topKCorrect(logits, labels, 1);
}

/**
 * Number of labels whose class is among the `k` largest scores; ties as in `correctCount`.
 * @param logits [N, C] or [N, C, ...]
 * @param labels int64 [N] or [N, ...]
 * @returns a scalar
 * @throws OptionError where k is no integer from 1 to C
 */
export function topKCorrect(logits: Tensor, labels: Tensor, k: number): Tensor {
  const indicator = classIndicator("topKCorrect", logits, labels);
  checkInteger("topKCorrect", "k", k, { min: 1, max: logits.size(1) });
  const float = (x: Tensor) => cast(x, { to: "float32" });
  const column = float(reshape(labels, { shape: labels.shape.toSpliced(1, 0, 1) }));
  const score = sum(where(greater(indicator, 0), logits, 0), { axes: [1] });
  const better = float(not(greaterOrEqual(score, logits)));
  const tiesBefore = mul(float(equal(logits, score)), float(greater(column, float(classIndices(logits)))));
  const rank = sum(add(better, tiesBefore), { axes: [1] });
  // A label that is no class has no score.
  const known = sum(indicator, { axes: [1] });
  return sum(mul(known, float(greater(k, rank))), { keepDims: false });
}

/**
 * Mean intersection over union of the classes that occur in an image's labels or predictions, summed over the images. For that of a whole
 * data set see `ConfusionMatrix`.
 * @param logits [N, C, ...]
 * @param labels int64 [N, ...]
 * @returns a scalar
 */
export function meanIou(logits: Tensor, labels: Tensor): Tensor {
  const expected = classIndicator("meanIou", logits, labels); // [N, C, ...]
  const float = (x: Tensor) => cast(x, { to: "float32" });
  const predicted = float(equal(argMax(logits, { axis: 1 }), classIndices(logits)));
  const pixels = logits.shape.map((_, axis) => axis).slice(2);
  const count = (x: Tensor) => (pixels.length === 0 ? x : sum(x, { axes: pixels })); // [N, C, 1 ...]
  const common = count(mul(expected, predicted));
  const either = sub(add(count(expected), count(predicted)), common);
  const perImage = (x: Tensor) => sum(x, { axes: [1] });
  const shares = perImage(div(common, maximum(either, 1)));
  return sum(div(shares, perImage(float(greater(either, 0)))), { keepDims: false });
}
