import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { floatLike, isPositive, mul, sub } from "./arithmetic.js";

type Unary = [x: Tensor];

/** Rectified linear unit max(x, 0); gradient 0 at 0. ONNX Relu-14. */
export const relu: Op<Unary> = defineOp("relu", {
  type: floatLike,
  gradient: ({ output: y, cotangent: dy }) => [() => mul(dy, isPositive(y))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: { awayFrom: [0] } }],
});

/** min(max(x, 0), 6); gradient 0 at and outside of 0 and 6. ONNX Clip-13. */
export const relu6: Op<Unary> = defineOp("relu6", {
  type: floatLike,
  onnx: (emit, [x], { inputs: [{ dtype }] }) => {
    const bound = (value: number) => emit.constant({ dtype, shape: [], data: Float32Array.of(value) });
    return emit.node("Clip", [x!, bound(0), bound(6)]);
  },
  // y (6 - y) is positive between the bounds only.
  gradient: ({ output: y, cotangent: dy }) => [() => mul(dy, isPositive(mul(y, sub(6, y))))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: { awayFrom: [0, 6] } }],
});

/** Logistic sigmoid 1 / (1 + e^-x). ONNX Sigmoid-13. */
export const sigmoid: Op<Unary> = defineOp("sigmoid", {
  type: floatLike,
  gradient: ({ output: y, cotangent: dy }) => [() => mul(dy, mul(y, sub(1, y)))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** Hyperbolic tangent. ONNX Tanh-13. */
export const tanh: Op<Unary> = defineOp("tanh", {
  type: floatLike,
  gradient: ({ output: y, cotangent: dy }) => [() => mul(dy, sub(1, mul(y, y)))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** log(1 + e^x), without overflow. ONNX Softplus-1. */
export const softplus: Op<Unary> = defineOp("softplus", {
  type: floatLike,
  gradient: ({ inputs: [x], cotangent: dy }) => [() => mul(dy, sigmoid(x))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** min(max(x + 3, 0), 6) / 6; gradient 0 at and outside of ±3. ONNX HardSigmoid-6. */
export const hardSigmoid: Op<Unary> = defineOp("hardSigmoid", {
  type: floatLike,
  onnx: (emit, [x]) => emit.node("HardSigmoid", [x!], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
  gradient: ({ output: y, cotangent: dy }) => [
    () => mul(mul(dy, 1 / 6), mul(isPositive(y), isPositive(sub(1, y)))),
  ],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: { awayFrom: [-3, 3] } }],
});

/** x * min(max(x + 3, 0), 6) / 6. Howard et al.: Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244, eq. 3. */
export function hardSwish(x: Tensor): Tensor {
  return mul(x, hardSigmoid(x));
}
