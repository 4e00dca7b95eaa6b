import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { add, exp, floatLike, mul, neg, square } from "./arithmetic.js";

/** Error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x. ONNX Erf-13. */
export const erf: Op<[x: Tensor]> = defineOp("erf", {
  type: floatLike,
  gradient: ({ inputs: [x], cotangent: dy }) => [
    () => mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
  ],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** Distribution function of the standard normal distribution. */
function normalCdf(x: Tensor): Tensor {
  return mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
}

/**
 * Gaussian error linear unit x * Phi(x), the exact form. Hendrycks, Gimpel: Gaussian Error Linear Units, 2016, arXiv:1606.08415.
 * Its gradient shares Phi with the forward pass.
 */
export const gelu: Op<[x: Tensor]> = defineOp("gelu", {
  type: floatLike,
  expand: ([x]) => mul(x, normalCdf(x)),
  again: ([x]) => mul(normalCdf(x), x),
  gradient: ({ inputs: [x], cotangent: dy }) => [
    () => {
      const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return mul(dy, add(normalCdf(x), mul(x, density)));
    },
  ],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});
