import type { Emitter } from "../graph/emitter.js";
import type { Shape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { reshapeNode } from "./nodes.js";

/** A matrix [to, from] of fixed values, row by row. */
export interface FixedMatrix {
  readonly to: number;
  readonly from: number;
  readonly data: Float32Array;
}

/** The matrix [to, from] that adds `weight` at each entry (row, column). */
export function sparseMatrix(
  [to, from]: readonly [number, number],
  entries: Iterable<readonly [row: number, column: number, weight: number]>,
): FixedMatrix {
  const data = new Float32Array(to * from);
  for (const [row, column, weight] of entries) data[row * from + column]! += weight;
  return { to, from, data };
}

/** The matrix with rows and columns exchanged. */
export function transposed({ to, from, data }: FixedMatrix): FixedMatrix {
  const columns = new Float32Array(data.length);
  for (let row = 0; row < to; row++) {
    for (let column = 0; column < from; column++) columns[column * to + row] = data[row * from + column]!;
  }
  return { to: from, from: to, data: columns };
}

/**
 * Nodes that multiply one axis of x by a fixed matrix: length `from` becomes `to`. ONNX MatMul-13, with a Reshape around it for an axis
 * before the last two.
 */
export function emitAxisProduct(
  emit: Emitter,
  x: string,
  { input, axis, matrix }: { input: Tensor; axis: number; matrix: FixedMatrix },
): string {
  const operand = ({ to, from, data }: FixedMatrix) =>
    emit.constant({ dtype: "float32", shape: [to, from], data });
  const { rank, shape } = input;
  if (axis === rank - 1) return emit.node("MatMul", [x, operand(transposed(matrix))]);
  if (axis === rank - 2) return emit.node("MatMul", [operand(matrix), x]);
  const after = shape
    .slice(axis + 1)
    .reduce<number>((count, _, index) => count * input.size(axis + 1 + index), 1);
  const lines = reshapeNode(emit, x, [-1, matrix.from, after]);
  return reshapeNode(emit, emit.node("MatMul", [operand(matrix), lines]), sizes(shape.with(axis, matrix.to)));
}

function sizes(shape: Shape): number[] {
  return shape.map((size) => (typeof size === "number" ? size : -1));
}
