import { checkNumber } from "../base/check.js";
import { OptionError, ShapeError } from "../base/errors.js";
import { constant } from "../graph/constant.js";
import { requireDType } from "../graph/operator.js";
import { formatShape, type Shape, sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { softplus } from "../ops/activation.js";
import { add, div, mul, neg, square, sub } from "../ops/arithmetic.js";
import { cast, equal } from "../ops/compare.js";
import { logSoftmax, softmax } from "../ops/normalize.js";
import { mean, sum } from "../ops/reduce.js";
import { reshape } from "../ops/shape.js";

/** A loss: a scalar of a model's output and its targets. */
export type Loss = (output: Tensor, targets: Tensor) => Tensor;

/** Options of cross-entropy. */
export interface CrossEntropyOptions {
  /** Share of the target that is spread evenly over all classes, in [0, 1); 0 by default. */
  readonly labelSmoothing?: number;
  /** Weight of each class, one number per class, not negative; 1 by default. */
  readonly classWeights?: readonly number[];
}

/**
 * Mean cross-entropy between class scores and labels, as in PyTorch: with class weights w, smoothing s and C classes the sum of
 * (1 - s) w[y] (-log p[y]) + s/C sum_c w[c] (-log p[c]), divided by the sum of w[y]. Of shares t of the classes instead of a label, as
 * mixed images have: the sum of sum_c w[c] ((1 - s) t[c] + s/C) (-log p[c]), divided by the number of samples.
 * Smoothing: Szegedy et al.: Rethinking the Inception Architecture, CVPR 2016, arXiv:1512.00567, section 7.
 * @param logits [N, C] or [N, C, ...]
 * @param labels int64 [N] or [N, ...], 0 to C - 1 (another label counts as no class: check labels on the host); or the classes'
 * shares, float32, shaped like the logits
 * @returns a scalar
 * @throws ShapeError, OptionError
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { labelSmoothing = 0, classWeights } = options;
  checkNumber("crossEntropy", "labelSmoothing", labelSmoothing, { min: 0 });
  if (labelSmoothing >= 1) {
    throw new OptionError(`crossEntropy: labelSmoothing is ${labelSmoothing}; it must be below 1`);
  }
  const shares = areShares(labels, logits);
  const indicator = targetShares("crossEntropy", logits, labels);
  const classes = logits.size(1);
  const logProbabilities = logSoftmax(logits, { axis: 1 });
  const perLabel = (values: Tensor) => sum(values, { axes: [1], keepDims: false });
  if (!classWeights) {
    const target =
      labelSmoothing === 0
        ? indicator
        : add(mul(indicator, 1 - labelSmoothing), constant(labelSmoothing / classes));
    return neg(mean(perLabel(mul(target, logProbabilities)), { keepDims: false }));
  }
  const weights = classVector("crossEntropy", "classWeights", classWeights, classes, logits.rank);
  const weighted = mul(indicator, weights);
  const target =
    labelSmoothing === 0
      ? weighted
      : add(mul(weighted, 1 - labelSmoothing), mul(weights, labelSmoothing / classes));
  if (shares) return neg(mean(perLabel(mul(target, logProbabilities)), { keepDims: false }));
  const total = (values: Tensor) => sum(perLabel(values), { keepDims: false });
  return neg(div(total(mul(target, logProbabilities)), total(weighted)));
}

/** Options of binary cross-entropy. */
export interface BinaryCrossEntropyOptions {
  /** Weight of the positive targets, one number per entry of the last axis, not negative; 1 by default. */
  readonly positiveWeights?: readonly number[];
}

/**
 * Mean binary cross-entropy of logits x against targets y in [0, 1]: p y (-log sigmoid(x)) + (1 - y) (-log(1 - sigmoid(x))),
 * with p the weight of positive targets; both logarithms are softplus, so that nothing overflows or cancels.
 * @param logits any shape
 * @param targets float32 of the same shape
 * @returns a scalar
 * @throws ShapeError, OptionError
 */
export function binaryCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  requireSameShape("binaryCrossEntropy", logits, targets);
  const positive = mul(targets, softplus(neg(logits)));
  const negative = mul(sub(1, targets), softplus(logits));
  const { positiveWeights } = options;
  if (!positiveWeights) return mean(add(positive, negative), { keepDims: false });
  const count = logits.rank === 0 ? 1 : logits.size(-1);
  const weights = classVector("binaryCrossEntropy", "positiveWeights", positiveWeights, count, 1);
  return mean(add(mul(positive, weights), negative), { keepDims: false });
}

/** Options of the Dice loss. */
export interface DiceLossOptions {
  /** Added to both sides of each quotient, so that a class that nobody has and nobody sees is no error; 1 by default. */
  readonly smoothing?: number;
}

/**
 * 1 - Dice coefficient, the mean over the classes: with probabilities p = softmax(logits), targets t and smoothing s it is
 * 1 - (2 sum p t + s) / (sum p + sum t + s), the sums over all pixels of the batch. Rare classes weigh as much as frequent ones.
 * Milletari, Navab, Ahmadi: V-Net, 3DV 2016, arXiv:1606.04797, section 3, with plain sums instead of those of squares.
 * @param logits [N, C] or [N, C, ...], at least two classes
 * @param labels int64 [N] or [N, ...]; or the classes' shares, float32, shaped like the logits
 * @returns a scalar
 * @throws ShapeError, OptionError
 */
export function diceLoss(logits: Tensor, labels: Tensor, { smoothing = 1 }: DiceLossOptions = {}): Tensor {
  checkNumber("diceLoss", "smoothing", smoothing, { min: 0 });
  const targets = targetShares("diceLoss", logits, labels);
  if (logits.size(1) < 2) {
    throw new ShapeError(
      `diceLoss: logits must have two classes or more, found ${formatShape(logits.shape)}`,
    );
  }
  const probabilities = softmax(logits, { axis: 1 });
  const axes = logits.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const perClass = (values: Tensor) => sum(values, { axes });
  const common = perClass(mul(probabilities, targets));
  const both = add(perClass(probabilities), perClass(targets));
  const dice = div(add(mul(common, 2), smoothing), add(both, smoothing));
  return sub(1, mean(dice, { keepDims: false }));
}

/**
 * Mean of the squared differences.
 * @param output any shape
 * @param targets float32 of the same shape
 * @returns a scalar
 * @throws ShapeError
 */
export function meanSquaredError(output: Tensor, targets: Tensor): Tensor {
  requireSameShape("meanSquaredError", output, targets);
  return mean(square(sub(output, targets)), { keepDims: false });
}

function areShares(labels: Tensor, logits: Tensor): boolean {
  return labels.dtype === "float32" && labels.rank === logits.rank;
}

/** Shares of the classes from labels or from shares, shaped like the logits [N, C, ...]. @throws ShapeError */
function targetShares(where: string, logits: Tensor, labels: Tensor): Tensor {
  return areShares(labels, logits)
    ? classShares(where, labels, logits)
    : classIndicator(where, logits, labels);
}

/** Shares of the classes, shaped like the logits [N, C, ...]. @throws ShapeError */
function classShares(where: string, shares: Tensor, logits: Tensor): Tensor {
  requireDType(logits, "float32", `${where}: logits`);
  if (logits.rank < 2 || !sameShape(shares.shape, logits.shape)) {
    throw new ShapeError(
      `${where}: logits must be [N, C, ...] and shares of the classes alike, found ${formatShape(logits.shape)} and ${formatShape(shares.shape)}`,
    );
  }
  return shares;
}

/** 1 at each label's class, else 0; shaped like the logits [N, C, ...]. @throws ShapeError */
export function classIndicator(where: string, logits: Tensor, labels: Tensor): Tensor {
  requireDType(labels, "int64", `${where}: labels`);
  requireDType(logits, "float32", `${where}: logits`);
  const expected: Shape = logits.shape.toSpliced(1, 1);
  if (logits.rank < 2 || !sameShape(labels.shape, expected)) {
    throw new ShapeError(
      `${where}: logits must be [N, C, ...] and labels [N, ...], found ${formatShape(logits.shape)} and ${formatShape(labels.shape)}`,
    );
  }
  return cast(equal(reshape(labels, { shape: labels.shape.toSpliced(1, 0, 1) }), classIndices(logits)), {
    to: "float32",
  });
}

/** The classes 0 to C - 1 as int64 [C, 1, ...], to be compared with tensors [N, C, ...]. */
export function classIndices(logits: Tensor): Tensor {
  const classes = Array.from({ length: logits.size(1) }, (_, index) => index);
  return constant(classes, { dtype: "int64", shape: [classes.length, ...ones(logits.rank - 2)] });
}

/** A weight per class as [C, 1, ...], for tensors of the given rank whose axis 1 are the classes. */
function classVector(
  where: string,
  option: string,
  values: readonly number[],
  classes: number,
  rank: number,
): Tensor {
  if (values.length !== classes) {
    throw new OptionError(`${where}: ${option} has ${values.length} numbers; there are ${classes} classes`);
  }
  for (const value of values) checkNumber(where, option, value, { min: 0 });
  return constant(values, { shape: [classes, ...ones(rank - 2)] });
}

function ones(count: number): number[] {
  return Array<number>(Math.max(count, 0)).fill(1);
}

function requireSameShape(where: string, output: Tensor, targets: Tensor): void {
  requireDType(targets, "float32", `${where}: targets`);
  if (!sameShape(output.shape, targets.shape)) {
    throw new ShapeError(
      `${where}: targets must be shaped like the output ${formatShape(output.shape)}, found ${formatShape(targets.shape)}`,
    );
  }
}
