import { elementCount } from "../../base/dtype.js";
import type { Emitter } from "../../graph/emitter.js";
import { concreteShape, isConcrete, type Shape } from "../../graph/size.js";
import type { ResultOfPair } from "../../ops/cpu-forms.js";
import { int64Vector, reshapeNode } from "../../ops/nodes.js";

/** Elements from which an operand is brought to another shape. */
const leastElements = 4096;

/** Length of rows up to which ONNX Runtime's CPU kernels take longer to meet them one by one than to copy them. */
const longestRow = 16;

/**
 * An element-wise node of two operands, in shapes that suit ONNX Runtime's CPU kernels, which walk broadcast operands piece by piece:
 * - a tensor that ends in axes of size 1 element by element where it meets a scalar (a product of [2048, 1024, 1, 1] takes 14 ms instead
 *   of 0.3), so the tensor is flattened for it;
 * - a row that is repeated along the axis before it row by row, so short rows are repeated first ([8, 256, 14, 14] by [8, 256, 1, 14]
 *   takes 0.30 ms, or 0.12).
 */
export function pairNode(
  emit: Emitter,
  onnxOp: string,
  operands: readonly string[],
  call: ResultOfPair,
): string {
  const flat = flattened(emit, onnxOp, operands, call);
  if (flat !== undefined) return flat;
  const whole = operands.map((operand, index) => repeatedRows(emit, operand, index, call));
  return emit.node(onnxOp, whole);
}

function flattened(
  emit: Emitter,
  onnxOp: string,
  operands: readonly string[],
  { inputs, output: { shape } }: ResultOfPair,
): string | undefined {
  if (shape.at(-1) !== 1 || !isConcrete(shape) || elementCount(shape) < leastElements) return undefined;
  const isScalar = inputs.map((input) => input.shape.every((size) => size === 1));
  if (!isScalar.includes(true)) return undefined;
  const flat = operands.map((operand, index) => reshapeNode(emit, operand, isScalar[index] ? [1] : [-1]));
  return reshapeNode(emit, emit.node(onnxOp, flat), concreteShape(shape));
}

/** The operand with its rows repeated along the axis before the last, where the other operand has that axis and rows are short. */
function repeatedRows(
  emit: Emitter,
  operand: string,
  index: number,
  { inputs, output }: ResultOfPair,
): string {
  const [rows, other] = [inputs[index]!.shape, inputs[1 - index]!.shape];
  const [count, length] = output.shape.slice(-2);
  const full = (shape: Shape) => shape.at(-1) === length && shape.at(-2) === count;
  const suits =
    rows.length > 1 &&
    rows.at(-1) === length &&
    rows.at(-2) === 1 &&
    full(other) &&
    typeof count === "number" &&
    typeof length === "number" &&
    count > 1 &&
    length > 1 &&
    length <= longestRow;
  const elements = output.shape.reduce<number>(
    (product, size) => product * (typeof size === "number" ? size : 1),
    1,
  );
  if (!suits || elements < leastElements) return operand;
  const ones = rows.slice(2).map(() => 1);
  return emit.node("Expand", [operand, int64Vector(emit, [...ones, count, 1])]);
}
