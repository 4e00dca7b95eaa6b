import { defineOp, type Op, requireFloats, type TensorType } from "../graph/operator.js";
import { broadcastShapes } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { requireNumbers } from "./compare.js";
import { cpuForms, emitPair } from "./cpu-forms.js";

type Unary = [x: Tensor];
type Binary = [a: Tensor, b: Tensor];

/** Type of an element-wise result of one float operand. */
export function floatLike([x]: Unary): TensorType {
  requireFloats([x]);
  return { shape: x.shape, dtype: x.dtype };
}

function broadcastType([a, b]: Binary): TensorType {
  requireNumbers([a, b]);
  return { shape: broadcastShapes(a.shape, b.shape), dtype: a.dtype };
}

const pairs = [
  {
    inputs: [
      [2, 3, 4],
      [2, 3, 4],
    ],
  },
  {
    inputs: [
      [2, 3, 4],
      [3, 1],
    ],
  },
  { inputs: [[], [4]] },
] as const;

/** Sum, element by element with broadcasting. ONNX Add-14. */
export const add: Op<Binary> = defineOp("add", {
  type: broadcastType,
  onnx: emitPair("Add"),
  blocked: (emit, operands, call) => cpuForms(emit)?.shift(emit, operands, call),
  gradient: ({ cotangent: dy }) => [() => dy, () => dy],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: pairs,
});

/** Difference, element by element with broadcasting. ONNX Sub-14. */
export const sub: Op<Binary> = defineOp("sub", {
  type: broadcastType,
  onnx: emitPair("Sub"),
  blocked: (emit, operands, call) => cpuForms(emit)?.unshift(emit, operands, call),
  gradient: ({ cotangent: dy }) => [() => dy, () => neg(dy)],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: pairs,
});

/** Product, element by element with broadcasting. ONNX Mul-14. */
export const mul: Op<Binary> = defineOp("mul", {
  type: broadcastType,
  onnx: emitPair("Mul"),
  blocked: (emit, operands, call) => cpuForms(emit)?.scale(emit, operands, call),
  again: ([a, b]) => mul(b, a),
  // A square: the 2 goes where the cotangent may still be small.
  gradient: ({ inputs: [a, b], cotangent: dy }) =>
    a === b ? [() => mul(mul(dy, 2), a), null] : [() => mul(dy, b), () => mul(dy, a)],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: pairs,
});

/** Quotient, element by element with broadcasting. ONNX Div-14. */
export const div: Op<Binary> = defineOp("div", {
  type: broadcastType,
  onnx: emitPair("Div"),
  gradient: ({ inputs: [, b], output: y, cotangent: dy }) => [
    () => div(dy, b),
    () => neg(div(mul(dy, y), b)),
  ],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: pairs.map((pair) => ({ ...pair, domain: "positive" as const })),
});

/** Operands without ties, at which the gradient jumps. */
const distinctPairs = pairs.slice(0, 2).map((pair) => ({ ...pair, domain: { distinct: 0.1 } }));

/** The larger of two, element by element; equal operands share the gradient. ONNX Max-13. */
export const maximum: Op<Binary> = defineOp("maximum", {
  type: broadcastType,
  onnx: emitPair("Max"),
  gradient: ({ inputs: [a, b], cotangent: dy }) => [() => mul(dy, winner(a, b)), () => mul(dy, winner(b, a))],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: distinctPairs,
});

/** The smaller of two, element by element; equal operands share the gradient. ONNX Min-13. */
export const minimum: Op<Binary> = defineOp("minimum", {
  type: broadcastType,
  onnx: emitPair("Min"),
  gradient: ({ inputs: [a, b], cotangent: dy }) => [() => mul(dy, winner(b, a)), () => mul(dy, winner(a, b))],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: distinctPairs,
});

/** 1 where a > b, 1/2 where they are equal, else 0. */
function winner(a: Tensor, b: Tensor): Tensor {
  return heaviside(sub(a, b), { atZero: 0.5 });
}

/** -x. ONNX Neg-13. */
export const neg: Op<Unary> = defineOp("neg", {
  type: floatLike,
  gradient: ({ cotangent: dy }) => [() => neg(dy)],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** Absolute value; gradient 0 at 0. ONNX Abs-13. */
export const abs: Op<Unary> = defineOp("abs", {
  type: floatLike,
  gradient: ({ inputs: [x], cotangent: dy }) => [() => mul(dy, sub(isPositive(x), isPositive(neg(x))))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: { awayFrom: [0] } }],
});

/** e to the power x. ONNX Exp-13. */
export const exp: Op<Unary> = defineOp("exp", {
  type: floatLike,
  gradient: ({ output: y, cotangent: dy }) => [() => mul(dy, y)],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** Natural logarithm. ONNX Log-13. */
export const log: Op<Unary> = defineOp("log", {
  type: floatLike,
  gradient: ({ inputs: [x], cotangent: dy }) => [() => div(dy, x)],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: "positive" }],
});

/** Square root. ONNX Sqrt-13. */
export const sqrt: Op<Unary> = defineOp("sqrt", {
  type: floatLike,
  gradient: ({ output: y, cotangent: dy }) => [() => div(mul(dy, 0.5), y)],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: "positive" }],
});

/** 1 / x. ONNX Reciprocal-13. */
export const reciprocal: Op<Unary> = defineOp("reciprocal", {
  type: floatLike,
  gradient: ({ output: y, cotangent: dy }) => [() => neg(mul(dy, mul(y, y)))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: "positive" }],
});

/** The step function, as float32: 1 where x > 0, 0 where x < 0. Its derivative is zero. */
export const heaviside: Op<Unary, { atZero: 0 | 0.5 }> = defineOp("heaviside", {
  type: floatLike,
  // On the CPU one HardSigmoid that saturates at once is faster than Greater and Cast.
  onnx: (emit, [x], { inputs, attributes: { atZero } }) => {
    if (emit.target.kind === "cpu") {
      return emit.node("HardSigmoid", [x!], { alpha: { float: 1e38 }, beta: { float: atZero } });
    }
    const scalar = (value: number) =>
      emit.constant({ dtype: inputs[0].dtype, shape: [], data: Float32Array.of(value) });
    const holds = (comparison: string) =>
      emit.node("Cast", [emit.node(comparison, [x!, scalar(0)])], { to: { int: 1 } });
    if (atZero === 0) return holds("Greater");
    return emit.node("Mul", [emit.node("Add", [holds("Greater"), holds("GreaterOrEqual")]), scalar(atZero)]);
  },
  gradient: () => [null],
  elementwise: true,
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { atZero: 0 }, domain: { awayFrom: [0] } },
    { inputs: [[2, 3, 4]], attributes: { atZero: 0.5 }, domain: { awayFrom: [0] } },
  ],
});

/** 1 where x > 0, else 0, as float32: the derivative of ReLU. */
export function isPositive(x: Tensor): Tensor {
  return heaviside(x, { atZero: 0 });
}

/** x squared. */
export function square(x: Tensor): Tensor {
  return mul(x, x);
}
