import { elementCount } from "../../base/dtype.js";
import type { Emitter } from "../../graph/emitter.js";
import type { FilterGradient } from "../../ops/conv-filter-gradient.js";
import type { ConvSizes, ConvWindow } from "../../ops/conv-node.js";
import type { TransposedSizes } from "../../ops/cpu-forms.js";
import { int64Vector, reduceNode, reshapeNode, transposeNode } from "../../ops/nodes.js";
import { type Window, windowCounts } from "../../ops/window.js";
import { channelBlock } from "./layout.js";

/*
 * Convolutions whose results have few positions, as matrix products over all samples at once: ONNX Runtime multiplies sample by sample,
 * and the matrix of a sample has a column for each position. Samples lie innermost, so that a column is gathered in whole rows; filters
 * are read as they are, and their gradient comes out as it is needed.
 */

/** Positions from which the convolution itself is as fast. */
const mostPositions = 16;

/** The same for the gradient of filters, which no other form gets in the order of the filters. */
const mostGradientPositions = 32;

/** Elements of the filters at each position of the kernel from which the copies pay. */
const leastChannelPairs = 16 * 16;

/** The geometry of a convolution: what it reads, and where from. */
interface Geometry {
  readonly input: readonly number[];
  readonly kernel: readonly number[];
  readonly output: readonly number[];
  readonly window: Window;
}

function suits(
  emit: Emitter,
  { output, kernel, window }: Geometry,
  most: number,
  channelPairs: number,
): boolean {
  // Constant filters are arranged once, when a model is loaded.
  if (channelBlock(emit.target) === 0) return false;
  const single = [...kernel, ...window.stride].every((size) => size === 1);
  return !single && elementCount(output) < most && channelPairs >= leastChannelPairs;
}

/** Per element of the kernel, per position of the result: the position of the input that is read, -1 beyond its edge. */
function sources({ input, kernel, output, window }: Geometry): number[] {
  const elements = indexes(kernel);
  const positions = indexes(output);
  return elements.flatMap((element) =>
    positions.map((position) => {
      const at = input.map(
        (_, axis) =>
          position[axis]! * window.stride[axis]! +
          element[axis]! * window.dilation[axis]! -
          window.padding[axis]!,
      );
      const inside = at.every((index, axis) => index >= 0 && index < input[axis]!);
      return inside ? at.reduce((flat, index, axis) => flat * input[axis]! + index, 0) : -1;
    }),
  );
}

/** All indexes of a shape, the last axis fastest. */
function indexes(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (known, size) => known.flatMap((index) => Array.from({ length: size }, (_, next) => [...index, next])),
    [[]],
  );
}

/** Rows [C, chosen, N] of [C, count, N]; those numbered -1 are zeros. */
function gatherRows(emit: Emitter, x: string, count: number, chosen: readonly number[]): string {
  const kind = `rows ${chosen.join()}`;
  const known = emit.form(x, kind);
  if (known !== undefined) return known;
  const withZeros = chosen.includes(-1) ? emit.node("Pad", [x, int64Vector(emit, [0, 0, 0, 0, 1, 0])]) : x;
  const index = int64Vector(
    emit,
    chosen.map((row) => (row < 0 ? count : row)),
  );
  const rows = emit.node("Gather", [withZeros, index], { axis: { int: 1 } });
  emit.addForm(x, kind, rows);
  return rows;
}

/** [N, C, ...] as [C, positions, N]. */
function samplesLast(emit: Emitter, x: string, channels: number, size: readonly number[]): string {
  const known = emit.form(x, "samples last");
  if (known !== undefined) return known;
  const last = transposeNode(emit, reshapeNode(emit, x, [-1, channels, elementCount(size)]), [1, 2, 0]);
  emit.addForm(x, "samples last", last);
  return last;
}

/** [C, positions, N], its last two axes perhaps one, as [N, C, ...]. */
function samplesFirst(emit: Emitter, x: string, channels: number, size: readonly number[]): string {
  const apart = reshapeNode(emit, x, [channels, elementCount(size), -1]);
  return reshapeNode(emit, transposeNode(emit, apart, [2, 0, 1]), [-1, channels, ...size]);
}

/** What each element of the filters meets: [C * kernel, positions of the result * N]. */
function columns(emit: Emitter, x: string, channels: number, geometry: Geometry): string {
  const { input, kernel } = geometry;
  const image = samplesLast(emit, x, channels, input);
  const gathered = gatherRows(emit, image, elementCount(input), sources(geometry));
  return reshapeNode(emit, gathered, [channels * elementCount(kernel), -1]);
}

/** A convolution of few positions. */
export function convOfFewPositions(
  emit: Emitter,
  [x, w, bias]: readonly string[],
  { input, weight }: ConvSizes,
  window: ConvWindow,
): string | undefined {
  const [outputs, channels, ...kernel] = weight as [number, number, ...number[]];
  const geometry = { input, kernel, output: windowCounts(input, kernel, window), window };
  if (window.groups > 1 || !suits(emit, geometry, mostPositions, outputs * channels)) return undefined;
  const filters = reshapeNode(emit, w!, [outputs, channels * elementCount(kernel)]);
  const product = emit.node("MatMul", [filters, columns(emit, x!, channels, geometry)]);
  const y = bias === undefined ? product : emit.node("Add", [product, reshapeNode(emit, bias, [outputs, 1])]);
  return samplesFirst(emit, y, outputs, geometry.output);
}

/** A transposed convolution of few positions: products for each element of the filters, gathered where they add up. */
export function transposeOfFewPositions(
  emit: Emitter,
  [x, w]: readonly [string, string],
  { input, weight, outputSize }: TransposedSizes,
  window: ConvWindow,
): string | undefined {
  const [outputs, channels, ...kernel] = weight as [number, number, ...number[]];
  const output = input.slice(2) as number[];
  const geometry = { input: outputSize, kernel, output, window };
  if (window.groups > 1 || !suits(emit, geometry, mostPositions, outputs * channels)) return undefined;
  const filters = reshapeNode(emit, w, [outputs, channels * elementCount(kernel)]);
  const cotangent = reshapeNode(emit, samplesLast(emit, x, outputs, output), [outputs, -1]);
  const products = emit.node("MatMul", [transposeNode(emit, filters, [1, 0]), cotangent]);

  const readBy = Array.from({ length: elementCount(outputSize) }, (): number[] => []);
  const from = sources(geometry);
  for (const [row, position] of from.entries()) if (position >= 0) readBy[position]!.push(row);
  const most = Math.max(...readBy.map((rows) => rows.length));
  const chosen = readBy.flatMap((rows) => Array.from({ length: most }, (_, index) => rows[index] ?? -1));
  const apart = reshapeNode(emit, products, [channels, from.length, -1]);
  const gathered = gatherRows(emit, apart, from.length, chosen);
  const parts = reshapeNode(emit, gathered, [channels * readBy.length, most, -1]);
  const total = most > 1 ? reduceNode(emit, "ReduceSum", parts, [1]) : parts;
  return samplesFirst(emit, total, channels, outputSize);
}

/** The gradient of the filters of a convolution of few positions. */
export function filterGradientOfFewPositions(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input, output, window }: FilterGradient,
  padding: readonly number[],
): string | undefined {
  const [channels, outputs] = [input[1]!, output[1]!];
  const { kernel } = window;
  const size = output.slice(2);
  const geometry = { input: input.slice(2), kernel, output: size, window: { ...window, padding } };
  if (window.groups > 1 || !suits(emit, geometry, mostGradientPositions, outputs * channels))
    return undefined;
  const cotangent = reshapeNode(emit, samplesLast(emit, dy, outputs, size), [outputs, -1]);
  const rows = transposeNode(emit, columns(emit, x, channels, geometry), [1, 0]);
  return reshapeNode(emit, emit.node("MatMul", [cotangent, rows]), [outputs, channels, ...kernel]);
}
