import type { Emitter } from "../graph/emitter.js";

/** An int64 vector as an initializer. */
export function int64Vector(emit: Emitter, values: readonly number[]): string {
  return emit.constant({ dtype: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) });
}

/** A Reshape node; at most one size may be -1. */
export function reshapeNode(emit: Emitter, x: string, shape: readonly number[]): string {
  return emit.node("Reshape", [x, int64Vector(emit, shape)]);
}

export function transposeNode(emit: Emitter, x: string, perm: readonly number[]): string {
  return emit.node("Transpose", [x], { perm: { ints: perm } });
}

/** A Slice node over the named axes. */
export function sliceNode(
  emit: Emitter,
  x: string,
  range: {
    axes: readonly number[];
    starts: readonly number[];
    ends: readonly number[];
    steps: readonly number[];
  },
): string {
  const operands = [range.starts, range.ends, range.axes, range.steps].map((values) =>
    int64Vector(emit, values),
  );
  return emit.node("Slice", [x, ...operands]);
}

/** A reduction over axes, kept as size 1 unless said otherwise. */
export function reduceNode(
  emit: Emitter,
  op: string,
  x: string,
  axes: readonly number[],
  keepDims = true,
): string {
  return emit.node(op, [x, int64Vector(emit, axes)], { keepdims: { int: keepDims ? 1 : 0 } });
}
