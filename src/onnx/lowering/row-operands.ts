import { type Shape, type Size, sizeOf } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { matmul } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { max, mean, sum } from "../../ops/reduce.js";
import { expand, reshape, transpose } from "../../ops/shape.js";

/**
 * The axis of each operand along which a part of it gives the same part of the call's result along `axis`; null for an operand that
 * every part needs whole. Undefined where the parts are not independent.
 */
export function rowOperands(call: Tensor, axis: number): (number | null)[] | undefined {
  const { op, inputs, attributes, rank, shape } = call;
  const [first] = inputs as [Tensor];
  if (op === matmul) {
    const [left, right] = inputs as [Tensor, Tensor];
    if (axis === rank - 2) return [left.rank - 2, null];
    if (axis === rank - 1) return [null, right.rank - 1];
    return inputs.map((operand) => alignedAxis(operand, axis, rank));
  }
  if (op === softmax) return attributes.axis === axis ? undefined : [axis];
  if (op === sum || op === mean || op === max) {
    const { axes, keepDims } = attributes as { axes: readonly number[]; keepDims: boolean };
    const kept = first.shape.map((_, at) => at).filter((at) => keepDims || !axes.includes(at));
    const from = kept[axis]!;
    return axes.includes(from) ? undefined : [from];
  }
  if (op === transpose) return [(attributes.perm as readonly number[])[axis]!];
  if (op === reshape) {
    const from = first.shape.findIndex(
      (size, at) => size === shape[axis] && sizeBefore(first.shape, at) === sizeBefore(shape, axis),
    );
    return from < 0 ? undefined : [from];
  }
  if (op.definition.elementwise && op !== expand) {
    return inputs.map((operand) => alignedAxis(operand, axis, rank));
  }
  return undefined;
}

/** The attributes of the call for a part of that many along `axis`. */
export function partAttributes({ op, attributes, shape }: Tensor, axis: number, count: number) {
  return op === reshape ? { shape: shape.with(axis, count) } : attributes;
}

/** Axis of an operand that meets `axis` of a result of rank `rank`; null where it is stretched there. */
function alignedAxis(operand: Tensor, axis: number, rank: number): number | null {
  const own = axis - (rank - operand.rank);
  return own < 0 || operand.shape[own] === 1 ? null : own;
}

function sizeBefore(shape: Shape, axis: number): Size {
  return sizeOf(shape.slice(0, axis));
}
