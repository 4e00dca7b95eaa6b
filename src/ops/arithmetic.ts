import { elementCount } from "../base/dtype.js";
import type { Emitter } from "../graph/emitter.js";
import { type Call, defineOp, type Op, requireFloats, type TensorType } from "../graph/operator.js";
import { broadcastShapes, concreteShape, isConcrete } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { blockedForms } from "./blocked-forms.js";
import { cast, equal, greater, requireNumbers, where } from "./compare.js";
import { reshapeNode } from "./nodes.js";

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

/** Elements from which a scalar is brought to a flat tensor. */
const leastFlattened = 4096;

/**
 * An element-wise node of two operands. ONNX Runtime's CPU kernels walk a tensor that ends in axes of size 1 element by element where
 * it meets a scalar (a product of [2048, 1024, 1, 1] takes 14 ms instead of 0.3), so the tensor is flattened for it.
 */
function emitPair(onnxOp: string) {
  return (emit: Emitter, operands: readonly string[], call: Call<Binary, object> & { output: Tensor }) => {
    const { output, inputs } = call;
    const slow = emit.target.kind === "cpu" && output.shape.at(-1) === 1 && isConcrete(output.shape);
    if (!slow || elementCount(output.shape) < leastFlattened) return emit.node(onnxOp, operands);
    const isScalar = inputs.map(({ shape }) => shape.every((size) => size === 1));
    if (!isScalar.includes(true)) return emit.node(onnxOp, operands);
    const flat = operands.map((operand, index) => reshapeNode(emit, operand, isScalar[index] ? [1] : [-1]));
    return reshapeNode(emit, emit.node(onnxOp, flat), concreteShape(output.shape));
  };
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
  blocked: (emit, operands, call) => blockedForms(emit)?.shift(emit, operands, call),
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
  blocked: (emit, operands, call) => blockedForms(emit)?.unshift(emit, operands, call),
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
  blocked: (emit, operands, call) => blockedForms(emit)?.scale(emit, operands, call),
  again: ([a, b]) => mul(b, a),
  gradient: ({ inputs: [a, b], cotangent: dy }) => [() => mul(dy, b), () => mul(dy, a)],
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
    () => neg(mul(dy, div(y, b))),
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
  onnx: "Max",
  gradient: ({ inputs: [a, b], cotangent: dy }) => [() => mul(dy, winner(a, b)), () => mul(dy, winner(b, a))],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: distinctPairs,
});

/** The smaller of two, element by element; equal operands share the gradient. ONNX Min-13. */
export const minimum: Op<Binary> = defineOp("minimum", {
  type: broadcastType,
  onnx: "Min",
  gradient: ({ inputs: [a, b], cotangent: dy }) => [() => mul(dy, winner(b, a)), () => mul(dy, winner(a, b))],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: distinctPairs,
});

/** 1 where a > b, 1/2 where they are equal, else 0. */
function winner(a: Tensor, b: Tensor): Tensor {
  return where(equal(a, b), 0.5, cast(greater(a, b), { to: "float32" }));
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

/** 1 where x > 0, else 0, as float32: the derivative of ReLU. Its own derivative is zero. */
export const isPositive: Op<Unary> = defineOp("isPositive", {
  type: floatLike,
  // On the CPU one HardSigmoid that saturates at once is faster than Greater and Cast.
  onnx: (emit, [x], { inputs }) => {
    if (emit.target.kind === "cpu") {
      return emit.node("HardSigmoid", [x!], { alpha: { float: 1e38 }, beta: { float: 0 } });
    }
    const zero = emit.constant({ dtype: inputs[0].dtype, shape: [], data: new Float32Array(1) });
    return emit.node("Cast", [emit.node("Greater", [x!, zero])], { to: { int: 1 } });
  },
  gradient: () => [null],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], domain: { awayFrom: [0] } }],
});

/** x squared. */
export function square(x: Tensor): Tensor {
  return mul(x, x);
}
