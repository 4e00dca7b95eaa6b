import { elementCount } from "../../base/dtype.js";
import type { Emitter } from "../../graph/emitter.js";
import type { FilterGradient } from "../../ops/conv-filter-gradient.js";
import type { ConvSizes, ConvWindow } from "../../ops/conv-node.js";
import { int64Vector, reshapeNode, transposeNode } from "../../ops/nodes.js";
import { type Window, windowCounts } from "../../ops/window.js";

/*
 * Convolutions of one or two planes with large kernels, as products of rows of the image with band matrices: row t of the kernel becomes
 * the matrix [width, width of the result] that holds its elements along a diagonal. ONNX Runtime's convolution is a product with as many
 * rows as there are filters, or with a whole block of them; both are mostly idle for one filter. A band matrix is mostly zeros, but
 * keeps the processor busy.
 */

/** Products of channels and filters up to which it pays. */
const mostChannelPairs = 2;

/** Filters of single elements up to which a product is faster. */
const mostPointwiseFilters = 4;

/** Channels from which it is: fewer are quickly reordered, or lie in blocks already. */
const leastPointwiseChannels = 64;

/** Elements of the kernel from which it pays. */
const leastTaps = 25;

/** Width up to which it pays: of so many elements of a row of the band matrix, all but the kernel's are zeros. */
const mostWidth = 64;

/** Positions from which it is worth the nodes. */
const leastPositions = 16;

/** Sizes of a convolution over a plane; `mirrored` filters are turned around, with filters and channels exchanged. */
interface Plane {
  readonly channels: number;
  readonly filters: number;
  readonly input: readonly [height: number, width: number];
  readonly output: readonly [height: number, width: number];
  readonly kernel: readonly [height: number, width: number];
  readonly window: Window;
  readonly mirrored: boolean;
}

function planeOf(
  channels: number,
  filters: number,
  sizes: { input: readonly number[]; output: readonly number[]; kernel: readonly number[] },
  window: ConvWindow,
  mirrored = false,
): Plane | undefined {
  const { input, output, kernel } = sizes as Pick<Plane, "input" | "output" | "kernel">;
  const suits =
    kernel.length === 2 &&
    window.groups === 1 &&
    channels * filters <= mostChannelPairs &&
    kernel[0] * kernel[1] >= leastTaps &&
    Math.max(input[1], output[1]) <= mostWidth &&
    output[0] * output[1] >= leastPositions;
  return suits ? { channels, filters, input, output, kernel, window, mirrored } : undefined;
}

/** Which element of the kernel an index of the operand stands for. */
function tapAt(index: number, size: number, { mirrored }: Plane): number {
  return mirrored ? size - 1 - index : index;
}

/** [kernel width, width * width of the result]: 1 where an element of the kernel lies between two positions. */
function diagonals(emit: Emitter, plane: Plane): string {
  const [width, results, taps] = [plane.input[1], plane.output[1], plane.kernel[1]];
  const [stride, dilation, left] = [
    plane.window.stride[1]!,
    plane.window.dilation[1]!,
    plane.window.padding[1]!,
  ];
  const data = new Float32Array(taps * width * results);
  for (let index = 0; index < taps; index++) {
    for (let to = 0; to < results; to++) {
      const from = to * stride + tapAt(index, taps, plane) * dilation - left;
      if (from >= 0 && from < width) data[(index * width + from) * results + to] = 1;
    }
  }
  return emit.constant({ dtype: "float32", shape: [taps, width * results], data });
}

/** [N, C, H, W] as [N, H, C * W]. */
function channelsInRows(emit: Emitter, x: string, channels: number, [height, width]: Plane["input"]): string {
  const apart = channels === 1 ? x : transposeNode(emit, x, [0, 2, 1, 3]);
  return reshapeNode(emit, apart, [-1, height, channels * width]);
}

/** The rows that each row of the result is made of: [N * rows of the result, kernel height * C * W]. */
function neighbours(emit: Emitter, x: string, plane: Plane): string {
  const { channels, input, output, kernel, window } = plane;
  const rows = channelsInRows(emit, x, channels, input);
  const [top, bottom] = [window.padding[0]!, window.padding[2]!];
  const padded =
    top + bottom === 0 ? rows : emit.node("Pad", [rows, int64Vector(emit, [0, top, 0, 0, bottom, 0])]);
  const chosen = Array.from({ length: output[0] }, (_, row) =>
    Array.from(
      { length: kernel[0] },
      (_, index) => row * window.stride[0]! + tapAt(index, kernel[0], plane) * window.dilation[0]!,
    ),
  ).flat();
  const gathered = emit.node("Gather", [padded, int64Vector(emit, chosen)], { axis: { int: 1 } });
  return reshapeNode(emit, gathered, [-1, kernel[0] * channels * input[1]]);
}

function bandProduct(emit: Emitter, [x, w, bias]: readonly string[], plane: Plane): string {
  const { channels, filters, input, output, kernel, mirrored } = plane;
  // Rows of the kernel, channels, filters, columns of the kernel.
  const byRow = transposeNode(emit, w!, mirrored ? [2, 0, 1, 3] : [2, 1, 0, 3]);
  const flat = reshapeNode(emit, byRow, [-1, kernel[1]]);
  const spread = emit.node("MatMul", [flat, diagonals(emit, plane)]);
  const shape = [kernel[0] * channels, filters, input[1], output[1]];
  const matrices =
    filters === 1 ? spread : transposeNode(emit, reshapeNode(emit, spread, shape), [0, 2, 1, 3]);
  const bands = reshapeNode(emit, matrices, [-1, filters * output[1]]);
  const product = emit.node("MatMul", [neighbours(emit, x!, plane), bands]);
  const apart = reshapeNode(emit, product, [-1, output[0], filters, output[1]]);
  const y =
    filters === 1 ? reshapeNode(emit, product, [-1, 1, ...output]) : transposeNode(emit, apart, [0, 2, 1, 3]);
  return bias === undefined ? y : emit.node("Add", [y, reshapeNode(emit, bias, [filters, 1, 1])]);
}

/**
 * A convolution of single elements with few filters as a product: with constant filters ONNX Runtime reorders the whole image, to compute
 * a block of filters ([8, 256, 28, 28] to one channel takes 0.95 ms, or 0.12).
 */
export function pointwiseOfFewFilters(
  emit: Emitter,
  [x, w, bias]: readonly string[],
  { input, weight }: ConvSizes,
  { groups, stride, padding }: ConvWindow,
): string | undefined {
  const [filters, channels, ...kernel] = weight as [number, number, ...number[]];
  const positions = elementCount(input);
  const isProduct =
    groups === 1 &&
    padding.every((count) => count === 0) &&
    [...kernel, ...stride].every((size) => size === 1);
  const suits =
    filters <= mostPointwiseFilters && channels >= leastPointwiseChannels && positions >= leastPositions;
  if (!isProduct || !suits) return undefined;
  const rows = reshapeNode(emit, x!, [-1, channels, positions]);
  const product = emit.node("MatMul", [reshapeNode(emit, w!, [filters, channels]), rows]);
  const y = bias === undefined ? product : emit.node("Add", [product, reshapeNode(emit, bias, [filters, 1])]);
  return reshapeNode(emit, y, [-1, filters, ...input]);
}

/** A convolution of few channels. */
export function convOfFewChannels(
  emit: Emitter,
  operands: readonly string[],
  { input, weight }: ConvSizes,
  window: ConvWindow,
  form: "straight" | "mirrored",
): string | undefined {
  const [filters, channels, ...kernel] = weight as [number, number, ...number[]];
  const output = windowCounts(input, kernel, window);
  const plane = planeOf(channels, filters, { input, output, kernel }, window, form === "mirrored");
  return plane && bandProduct(emit, operands, plane);
}

/** The gradient of the filters of a convolution of few channels: that of the band matrices, summed along their diagonals. */
export function filterGradientOfFewChannels(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input: [, channels, ...input], output: [, filters, ...output], window }: FilterGradient,
  padding: readonly number[],
): string | undefined {
  const { kernel } = window;
  const sizes = { input, output, kernel };
  const plane = planeOf(channels!, filters!, sizes, { ...window, padding });
  if (plane === undefined) return undefined;
  const cotangent = reshapeNode(emit, channelsInRows(emit, dy, plane.filters, plane.output), [
    -1,
    plane.filters * plane.output[1],
  ]);
  const bands = emit.node("MatMul", [transposeNode(emit, neighbours(emit, x, plane), [1, 0]), cotangent]);
  const shape = [plane.kernel[0] * plane.channels, plane.input[1], plane.filters, plane.output[1]];
  const matrices =
    plane.filters === 1 ? bands : transposeNode(emit, reshapeNode(emit, bands, shape), [0, 2, 1, 3]);
  const flat = reshapeNode(emit, matrices, [-1, plane.input[1] * plane.output[1]]);
  const sums = emit.node("MatMul", [flat, transposeNode(emit, diagonals(emit, plane), [1, 0])]);
  const byRow = reshapeNode(emit, sums, [plane.kernel[0], plane.channels, plane.filters, plane.kernel[1]]);
  return transposeNode(emit, byRow, [2, 1, 0, 3]);
}
