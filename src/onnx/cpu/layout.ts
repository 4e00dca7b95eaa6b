import type { Emitter, OnnxAttributes, Target } from "../../graph/emitter.js";
import { int64Vector, reshapeNode, transposeNode } from "../../ops/nodes.js";
import { filtersInBlocks } from "./filters-in-blocks.js";

/*
 * ONNX Runtime's own layout of images on the CPU: channels in blocks that lie side by side, [N, C/b, H, W, b]. Its convolutions are
 * faster there than on [N, C, H, W], by more than two reorderings cost. Shapes of blocked tensors are written as if they were plain.
 */

/** Domain of the operators on blocks. */
export const blocksDomain = "com.microsoft.nchwc";

/** Channels that a block holds, or 0 where sessions of the target have no blocked layout. */
export function channelBlock(target: Target): number {
  return target.channelBlock ?? 0;
}

/** The next multiple of the block. */
export function wholeBlocks(count: number, block: number): number {
  return Math.ceil(count / block) * block;
}

/** [N, C, H, W] as blocks; channels that are missing to whole blocks are zeros. C has to be a multiple of 4. */
export function toBlocks(emit: Emitter, x: string): string {
  const known = emit.form(x, "blocks");
  if (known !== undefined) return known;
  const blocks = emit.node("ReorderInput", [x], {}, blocksDomain);
  emit.addForm(x, "blocks", blocks);
  return blocks;
}

/** Blocks as [N, channels, H, W]. Where only operators on blocks use the result, the reordering is left out of the model. */
export function fromBlocks(emit: Emitter, x: string, channels: number): string {
  const plain = emit.node("ReorderOutput", [x], { channels: { int: channels } }, blocksDomain);
  if (channels % channelBlock(emit.target) === 0) emit.addForm(plain, "blocks", x);
  return plain;
}

/** A pool of blocks. */
export function blockedPool(emit: Emitter, opType: string, x: string, window: OnnxAttributes = {}): string {
  return emit.node(opType, [x], window, blocksDomain);
}

/** Elements up to which a sum of one after the other in float32 is exact enough. */
export const longestSum = 64;

/** The mean over the positions of each channel: [N, C, 1, 1], in blocks as much as plain. */
export function blockedMeanNode(
  emit: Emitter,
  x: string,
  [height, width]: readonly [height: number, width: number],
): string {
  // The kernel adds one position after the other; rows first keep the sums short, and with them the error of a mean far from zero.
  if (height * width <= longestSum) return blockedPool(emit, "GlobalAveragePool", x);
  const window = { kernel_shape: { ints: [1, width] }, strides: { ints: [1, 1] } };
  return blockedPool(emit, "GlobalAveragePool", blockedPool(emit, "AveragePool", x, window));
}

/** Window of a blocked convolution, all axes written out. */
export interface BlockedWindow {
  readonly kernel: readonly number[];
  readonly stride?: readonly number[];
  readonly padding?: readonly number[];
  readonly dilation?: readonly number[];
  readonly groups?: number;
}

/** A convolution of blocks with filters in the layout of `blockedFilters`; bias in whole blocks. */
export function blockedConvNode(emit: Emitter, operands: readonly string[], window: BlockedWindow): string {
  const { kernel, stride = [1, 1], padding = [0, 0, 0, 0], dilation = [1, 1], groups = 1 } = window;
  const attributes = {
    kernel_shape: { ints: kernel },
    strides: { ints: stride },
    pads: { ints: padding },
    dilations: { ints: dilation },
    group: { int: groups },
  };
  return emit.node("Conv", operands, attributes, blocksDomain);
}

/** Zeros around blocks of so many channels (whole blocks): a convolution with ones, which is faster than Pad. */
export function padBlocks(emit: Emitter, x: string, channels: number, padding: readonly number[]): string {
  if (padding.every((count) => count === 0)) return x;
  const ones = emit.constant({
    dtype: "float32",
    shape: [channels, 1, 1, 1],
    data: new Float32Array(channels).fill(1),
  });
  return blockedConvNode(emit, [x, ones], { kernel: [1, 1], padding, groups: channels });
}

/** Shape of filters: [K, C, R, S]. */
type FilterShape = readonly [outputs: number, inputs: number, height: number, width: number];

/** Filters [K, C, R, S] with zeros up to whole blocks of K and C. */
function padFilters(emit: Emitter, w: string, [outputs, inputs]: FilterShape, block: number): string {
  const more = [outputs, inputs].map((count) => wholeBlocks(count, block) - count);
  if (more.every((count) => count === 0)) return w;
  return emit.node("Pad", [w, int64Vector(emit, [0, 0, 0, 0, ...more, 0, 0])]);
}

/** Filters [K, C, R, S] for a blocked input: [K/b, C/b, R, S, b of C, b of K]. */
export function blockedFilters(emit: Emitter, w: string, shape: FilterShape): string {
  const block = channelBlock(emit.target);
  const known = emit.value(w);
  if (known) return emit.constant(filtersInBlocks(known, block, block));
  const [, , height, width] = shape;
  const [outputs, inputs] = [wholeBlocks(shape[0], block), wholeBlocks(shape[1], block)];
  const flat = reshapeNode(emit, padFilters(emit, w, shape, block), [1, outputs, 1, inputs * height * width]);
  const split = reshapeNode(emit, toBlocks(emit, flat), [
    outputs / block,
    inputs / block,
    block,
    height * width,
    block,
  ]);
  const order = height * width === 1 ? split : transposeNode(emit, split, [0, 1, 3, 2, 4]);
  return reshapeNode(emit, order, [outputs, inputs, height, width]);
}

/** Filters [K, C, R, S] of fewer channels than a block, for a plain input or of one channel each: [K/b, C, R, S, b of K]. */
export function filtersOfFewChannels(
  emit: Emitter,
  w: string,
  [outputs, inputs, height, width]: FilterShape,
): string {
  const known = emit.value(w);
  if (known) return emit.constant(filtersInBlocks(known, channelBlock(emit.target), 1));
  const flat = reshapeNode(emit, w, [1, outputs, 1, inputs * height * width]);
  return reshapeNode(emit, toBlocks(emit, flat), [-1, inputs, height, width]);
}

/** Filters [K, C, R, S] with K and C exchanged, element by element: [C/b, K/b, R S, b of K, b of C]. */
export function mirroredBlocks(emit: Emitter, w: string, shape: FilterShape): string {
  const block = channelBlock(emit.target);
  const [, , height, width] = shape;
  const [outputs, inputs] = [wholeBlocks(shape[0], block), wholeBlocks(shape[1], block)];
  const positions = height * width;
  const flat = reshapeNode(emit, padFilters(emit, w, shape, block), [outputs, inputs, 1, positions]);
  const split = reshapeNode(emit, toBlocks(emit, flat), [
    outputs / block,
    block,
    inputs / block,
    positions,
    block,
  ]);
  return transposeNode(emit, split, [2, 0, 3, 1, 4]);
}

/** Filters of the given shape (whole blocks) of the chosen elements of `mirroredBlocks`. */
export function mirroredTaps(
  emit: Emitter,
  filters: string,
  taps: readonly number[],
  shape: FilterShape,
): string {
  return reshapeNode(
    emit,
    emit.node("Gather", [filters, int64Vector(emit, taps)], { axis: { int: 2 } }),
    shape,
  );
}

/** Filters [K, C, R, S] with K and C exchanged and both spatial axes reversed, as the gradient of the input takes them. */
export function blockedMirroredFilters(emit: Emitter, w: string, shape: FilterShape): string {
  const block = channelBlock(emit.target);
  const [, , height, width] = shape;
  const order = mirroredBlocks(emit, w, shape);
  return reshapeNode(emit, reversePositions(emit, order, height * width, 2), [
    wholeBlocks(shape[1], block),
    wholeBlocks(shape[0], block),
    height,
    width,
  ]);
}

/** Filters [C, 1, R, S] of one channel each, reversed. */
export function mirroredDepthwiseFilters(emit: Emitter, w: string, shape: FilterShape): string {
  const [channels, , height, width] = shape;
  const positions = height * width;
  const flat = reshapeNode(emit, w, [1, channels, 1, positions]);
  const blocks = reshapeNode(emit, toBlocks(emit, flat), [-1, positions, channelBlock(emit.target)]);
  return reshapeNode(emit, reversePositions(emit, blocks, positions, 1), [-1, 1, height, width]);
}

function reversePositions(emit: Emitter, x: string, positions: number, axis: number): string {
  if (positions === 1) return x;
  const reversed = int64Vector(
    emit,
    Array.from({ length: positions }, (_, index) => positions - 1 - index),
  );
  return emit.node("Gather", [x, reversed], { axis: { int: axis } });
}
