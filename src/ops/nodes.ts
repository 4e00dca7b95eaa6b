import type { Emitter } from "../graph/emitter.js";

/** An int64 vector as an initializer. */
export function int64Vector(emit: Emitter, values: readonly number[]): string {
  return emit.constant({ dtype: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) });
}

/** A Reshape node; at most one size may be -1. */
export function reshapeNode(emit: Emitter, x: string, shape: readonly number[]): string {
  return emit.node("Reshape", [x, emit.sizes(shape)]);
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

/** Every so many elements of the spatial axes of [N, C, ...]; one node for all that read the same ones. */
export function strideNode(
  emit: Emitter,
  x: string,
  sizes: readonly number[],
  stride: readonly number[],
): string {
  if (stride.every((step) => step === 1)) return x;
  const kind = `stride ${stride.join()}`;
  const known = emit.form(x, kind);
  if (known !== undefined) return known;
  const axes = stride.map((_, axis) => axis + 2);
  const strided = sliceNode(emit, x, { axes, starts: axes.map(() => 0), ends: sizes, steps: stride });
  emit.addForm(x, kind, strided);
  return strided;
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
