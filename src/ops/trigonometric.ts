import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { floatLike, mul, neg } from "./arithmetic.js";

type Unary = [x: Tensor];

/** Sine of an angle in radians. ONNX Sin-7. */
export const sin: Op<Unary> = defineOp("sin", {
  type: floatLike,
  gradient: ({ inputs: [x], cotangent: dy }) => [() => mul(dy, cos(x))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** Cosine of an angle in radians. ONNX Cos-7. */
export const cos: Op<Unary> = defineOp("cos", {
  type: floatLike,
  gradient: ({ inputs: [x], cotangent: dy }) => [() => neg(mul(dy, sin(x)))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});
