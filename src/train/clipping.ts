import { checkNumber } from "../base/check.js";
import type { Tensor } from "../graph/tensor.js";
import { add, div, maximum, minimum, mul, sqrt, square } from "../ops/arithmetic.js";
import { equal } from "../ops/compare.js";
import { sum } from "../ops/reduce.js";

/** Limit of the gradient: of the norm of all its values together, or of each value. */
export type Clipping = { readonly norm: number } | { readonly value: number };

/** Euclidean norm of all values of several tensors, a scalar. */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  const squares = tensors.map((tensor) => sum(square(tensor), { keepDims: false }));
  return sqrt(squares.reduce((total, part) => add(total, part)));
}

/** Whether scalars are all finite: a bool. */
export function areFinite(scalars: readonly Tensor[]): Tensor {
  // Infinity and NaN times 0 are NaN.
  const zeros = scalars.map((scalar) => mul(scalar, 0));
  return equal(
    zeros.reduce((sum, zero) => add(sum, zero)),
    0,
  );
}

/**
 * Limits gradients. By norm as PyTorch's clip_grad_norm_: all are multiplied by min(1, limit / (norm + 1e-6)).
 * Pascanu et al.: On the difficulty of training recurrent neural networks, ICML 2013, arXiv:1211.5063, algorithm 1.
 * @param norm their global norm
 * @throws OptionError for a limit that is negative or not finite
 */
export function clipGradients(gradients: readonly Tensor[], norm: Tensor, clipping: Clipping): Tensor[] {
  if ("norm" in clipping) {
    checkNumber("clipping", "norm", clipping.norm, { min: 0 });
    const factor = minimum(div(clipping.norm, add(norm, 1e-6)), 1);
    return gradients.map((gradient) => mul(gradient, factor));
  }
  const { value } = clipping;
  checkNumber("clipping", "value", value, { min: 0 });
  return gradients.map((gradient) => minimum(maximum(gradient, -value), value));
}
