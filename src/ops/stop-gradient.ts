import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { add, sub } from "./arithmetic.js";

/** The same values, through which no gradient flows. No ONNX node. */
export const stopGradient: Op<[x: Tensor]> = defineOp("stopGradient", {
  type: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  onnx: (_emit, [x]) => x!,
  gradient: () => [null],
  elementwise: true,
  macs: 0,
  // Of integers: the gradient of floats is not the derivative, by intention.
  samples: [{ inputs: [{ shape: [2, 3], dtype: "int64", below: 5 }] }],
});

/**
 * The values of `hard` with the gradient of `soft`: the straight-through estimator for steps, rounding and sampling, whose own
 * derivative is zero. Bengio, Léonard, Courville: Estimating or Propagating Gradients Through Stochastic Neurons, 2013, arXiv:1308.3432.
 * Values are exact: soft - soft is 0 for finite `soft`. Nothing flows into `hard`.
 */
export function straightThrough(hard: Tensor, soft: Tensor): Tensor {
  return add(stopGradient(hard), sub(soft, stopGradient(soft)));
}
