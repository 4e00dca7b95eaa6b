import { ShapeError } from "../base/errors.js";
import type { Emitter } from "../graph/emitter.js";
import { type Call, defineOp, type Op, requireFloats, type TensorType } from "../graph/operator.js";
import {
  concreteShape,
  isConcrete,
  normalizeAxes,
  normalizeAxis,
  type Shape,
  sameShape,
} from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { div, mul, neg, square, sub } from "./arithmetic.js";
import { cast, equal } from "./compare.js";
import { cpuForms } from "./cpu-forms.js";
import { reduceNode, reshapeNode } from "./nodes.js";
import { expand, reshape } from "./shape.js";

type Unary = [x: Tensor];

/** Axes to reduce (all by default), kept as size 1 unless `keepDims` is false. */
export interface ReduceAttributes {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}

type ReductionCall = Call<Unary, ReduceAttributes> & { readonly output: Tensor };

function normalize(attributes: ReduceAttributes, [x]: Unary): Required<ReduceAttributes> {
  return { axes: normalizeAxes(attributes.axes, x.rank), keepDims: attributes.keepDims ?? true };
}

function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));
}

function reducedType([x]: Unary, attributes: ReduceAttributes): TensorType {
  requireFloats([x]);
  const { axes, keepDims } = attributes as Required<ReduceAttributes>;
  return { shape: reducedShape(x.shape, axes, keepDims), dtype: x.dtype };
}

/** Number of elements that are reduced to one. @throws ShapeError for a symbolic batch */
function reducedCount(x: Tensor, axes: readonly number[]): number {
  return axes.reduce((count, axis) => count * x.size(axis), 1);
}

/** A reduced tensor with its axes put back as size 1. */
function restoreAxes(reduced: Tensor, x: Tensor, axes: readonly number[]): Tensor {
  return reshape(reduced, { shape: reducedShape(x.shape, axes, true) });
}

/**
 * Whether axes come right behind leading axes of size 1, before ones that stay. ONNX Runtime's CPU kernels take the sum of rows of
 * [1, rows, columns] for a batch of one and walk its columns: 28 times as long as for [rows, columns].
 */
function isBehindOnes(shape: Shape, axes: readonly number[]): boolean {
  const ones = shape.findIndex((size) => size !== 1);
  return ones > 0 && axes.every((axis, index) => axis === ones + index) && ones + axes.length < shape.length;
}

/** Reducing the inner axes first and the batch last keeps memory access sequential: twice as fast on the CPU. */
function emitReduction(op: string) {
  return (emit: Emitter, [x]: readonly string[], call: ReductionCall): string => {
    const { axes, keepDims } = call.attributes as Required<ReduceAttributes>;
    const { rank, shape } = call.inputs[0];
    if (isBehindOnes(shape, axes) && isConcrete(shape)) {
      const whole = Array.from({ length: axes.at(-1)! + 1 }, (_, axis) => axis);
      const reduced = reduceNode(emit, op, x!, whole);
      return keepDims ? reduced : reshapeNode(emit, reduced, concreteShape(call.output.shape));
    }
    const inner = axes.filter((axis) => axis > 1);
    const staged = axes.includes(0) && !axes.includes(1) && inner.length === rank - 2 && inner.length > 0;
    if (axes.length === 0) return emit.node("Identity", [x!]);
    if (!staged) return reduceNode(emit, op, x!, axes, keepDims);
    return reduceNode(emit, op, reduceNode(emit, op, x!, inner, keepDims), [0], keepDims);
  };
}

const samples = [
  { inputs: [[2, 3, 4]], attributes: { axes: [1] } },
  { inputs: [[2, 3, 2, 2]], attributes: { axes: [0, 2, 3] } },
  { inputs: [[2, 3, 4]], attributes: { axes: [-1, 0], keepDims: false } },
  { inputs: [[2, 3]] },
  { inputs: [[1, 3, 4]], attributes: { axes: [1] } },
  { inputs: [[1, 1, 3, 2, 4]], attributes: { axes: [2, 3], keepDims: false } },
] as const;

/** Sum over axes. ONNX ReduceSum-13. */
export const sum: Op<Unary, ReduceAttributes> = defineOp("sum", {
  normalize,
  type: reducedType,
  onnx: emitReduction("ReduceSum"),
  blocked: (emit, operands, call) => cpuForms(emit)?.reduction(emit, operands, call, "sum"),
  // Left at size 1: what it meets stretches it.
  gradient: ({ inputs: [x], attributes, cotangent: dy }) => [() => restoreAxes(dy, x, attributes.axes!)],
  macs: 0,
  samples,
});

/** Mean over axes. ONNX ReduceMean-18. */
export const mean: Op<Unary, ReduceAttributes> = defineOp("mean", {
  normalize,
  type: reducedType,
  onnx: emitReduction("ReduceMean"),
  blocked: (emit, operands, call) => cpuForms(emit)?.reduction(emit, operands, call, "mean"),
  gradient: ({ inputs: [x], attributes, cotangent: dy }) => [
    () => mul(restoreAxes(dy, x, attributes.axes!), 1 / reducedCount(x, attributes.axes!)),
  ],
  macs: 0,
  samples,
});

/** Maximum over axes; elements that tie share the gradient. ONNX ReduceMax-18. */
export const max: Op<Unary, ReduceAttributes> = defineOp("max", {
  normalize,
  type: reducedType,
  onnx: emitReduction("ReduceMax"),
  gradient: ({ inputs: [x], attributes, output: y, cotangent: dy }) => [
    () => {
      const axes = attributes.axes!;
      const ties = cast(equal(x, restoreAxes(y, x, axes)), { to: "float32" });
      return mul(ties, div(restoreAxes(dy, x, axes), sum(ties, { axes })));
    },
  ],
  macs: 0,
  samples: samples.map((sample) => ({ ...sample, domain: { distinct: 0.1 } })),
});

/** Index of the first maximum along an axis, as int64. ONNX ArgMax-13. */
export const argMax: Op<Unary, { axis: number; keepDims?: boolean }> = defineOp("argMax", {
  normalize: ({ axis, keepDims = true }, [x]) => ({ axis: normalizeAxis(axis, x.rank), keepDims }),
  type: ([x], { axis, keepDims }) => {
    requireFloats([x]);
    return { shape: reducedShape(x.shape, [axis], keepDims!), dtype: "int64" };
  },
  onnx: (emit, [x], { attributes: { axis, keepDims } }) =>
    emit.node("ArgMax", [x!], { axis: { int: axis }, keepdims: { int: keepDims ? 1 : 0 } }),
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], attributes: { axis: 1, keepDims: false }, domain: { distinct: 0.1 } }],
});

/**
 * Variance over axes, two-pass. `correction` is subtracted from the count: 0 for the biased, 1 for the unbiased estimate.
 * @throws ShapeError where the count does not exceed the correction
 */
export function variance(x: Tensor, options: ReduceAttributes & { correction?: number }): Tensor {
  const { correction = 0, ...attributes } = options;
  const axes = normalizeAxes(attributes.axes, x.rank);
  const biased = mean(square(sub(x, mean(x, { axes }))), attributes);
  if (correction === 0) return biased;
  const count = reducedCount(x, axes);
  if (count <= correction) {
    throw new ShapeError(`variance: needs more than ${correction} values per result, found ${count}`);
  }
  return mul(biased, count / (count - correction));
}

/** A cotangent as a tensor of exactly this shape. */
export function expandTo(tensor: Tensor, shape: Shape): Tensor {
  return tensor.rank === shape.length && tensor.shape.every((size, axis) => size === shape[axis])
    ? tensor
    : expand(tensor, { shape });
}

/** A sum over axes; signs and factors that do not change along them wait for it, which saves passes over what is summed. */
function sumOver(x: Tensor, axes: readonly number[]): Tensor {
  const [first, second] = x.inputs;
  if (x.op === neg) return neg(sumOver(first!, axes));
  if (x.op === mul && isConstantAlong(first!, x, axes)) return mul(sumOver(second!, axes), first!);
  if (x.op === mul && isConstantAlong(second!, x, axes)) return mul(sumOver(first!, axes), second!);
  if (x.op === div && isConstantAlong(second!, x, axes)) return div(sumOver(first!, axes), second!);
  return sum(x, { axes });
}

/** True for a factor of x, the other one of which has x's shape, that is stretched over the axes. */
function isConstantAlong(factor: Tensor, x: Tensor, axes: readonly number[]): boolean {
  const other = x.inputs.find((operand) => operand !== factor);
  const lead = x.rank - factor.rank;
  return (
    other !== undefined &&
    sameShape(other.shape, x.shape) &&
    axes.every((axis) => axis < lead || factor.shape[axis - lead] === 1)
  );
}

/**
 * Undoes a broadcast: sums a cotangent of a result shaped `from` down to the shape `to` of an operand. Axes on which the
 * cotangent itself is 1 count as stretched over `from`.
 */
export function sumTo(cotangent: Tensor, from: Shape, to: Shape): Tensor {
  const lead = from.length - to.length;
  const target = from.map((_, axis) => to[axis - lead] ?? 1);
  const aligned =
    cotangent.rank === from.length
      ? cotangent
      : reshape(cotangent, { shape: [...Array(from.length - cotangent.rank).fill(1), ...cotangent.shape] });
  const shrunk = from.map((_, axis) => axis).filter((axis) => target[axis] === 1 && from[axis] !== 1);
  const axes = shrunk.filter((axis) => aligned.shape[axis] !== 1);
  const repeated = shrunk.filter((axis) => aligned.shape[axis] === 1);
  const count = repeated.reduce((product, axis) => {
    const size = from[axis];
    if (typeof size !== "number") throw new ShapeError(`gradients need a concrete batch, found ${size}`);
    return product * size;
  }, 1);
  let result = axes.length > 0 ? sumOver(aligned, axes) : aligned;
  if (count !== 1) result = mul(result, count);
  if (lead > 0) result = reshape(result, { shape: result.shape.slice(lead) });
  return result;
}
