import type { Emitter } from "../../graph/emitter.js";
import type { FilterGradient } from "../../ops/conv-filter-gradient.js";
import { int64Vector, reduceNode, reshapeNode, sliceNode, transposeNode } from "../../ops/nodes.js";
import { blockedConvNode, channelBlock, padBlocks, toBlocks, wholeBlocks } from "./layout.js";

/** Channels of a group from which a convolution of its own is faster than one in which channels take the place of samples. */
const wideGroup = 32;

/** The gradient of filters in wide groups: a convolution per group. The operands are those of `blockedFilterGradient`. */
export function groupedFilterGradient(
  emit: Emitter,
  operands: readonly [string, string],
  { input, output, window }: FilterGradient,
  padding: readonly number[],
): string | undefined {
  const { groups } = window;
  const widths = [input[1]! / groups, output[1]! / groups] as const;
  if (groups === 1 || Math.min(...widths) < wideGroup) return undefined;
  const problem = {
    input: input.with(1, widths[0]),
    output: output.with(1, widths[1]),
    window: { ...window, groups: 1 },
  };
  const part = (index: 0 | 1, group: number) =>
    sliceNode(emit, operands[index], {
      axes: [1],
      starts: [group * widths[index]],
      ends: [(group + 1) * widths[index]],
      steps: [1],
    });
  const gradients: string[] = [];
  for (let group = 0; group < groups; group++) {
    const gradient = blockedFilterGradient(emit, [part(0, group), part(1, group)], problem, padding);
    if (gradient === undefined) return undefined;
    gradients.push(gradient);
  }
  return emit.node("Concat", gradients, { axis: { int: 0 } });
}

/**
 * The gradient of filters of two spatial axes and one group as a blocked convolution in which samples take the place of channels: the
 * width of the image holds position and channel, the cotangent is the dilated kernel. Each block of samples is a group, and groups are
 * summed. A batch that is no whole number of blocks is multiplied by cutting images into bands of rows.
 * @param padding with which exactly the kernel's positions come out
 * @returns undefined where the target has no blocked layout or the sizes do not suit it
 */
export function blockedFilterGradient(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input, output, window }: FilterGradient,
  padding: readonly number[],
): string | undefined {
  const block = channelBlock(emit.target);
  const [images, channels, height, width] = input as [number, number, number, number];
  const [, filters, rows, columns] = output as [number, number, number, number];
  const plain =
    window.groups === 1 && window.dilation.every((step) => step === 1) && window.kernel.length === 2;
  if (block === 0 || !plain || filters % 4 !== 0) return undefined;
  const bands = [1, 2, 4].find((count) => (images * count) % block === 0 && rows % count === 0);
  if (bands === undefined) return undefined;
  const samples = images * bands;
  const groups = samples / block;
  const [kernelHeight, kernelWidth] = window.kernel as [number, number];
  const [strideHeight, strideWidth] = window.stride as [number, number];
  const [top, left, bottom, right] = padding as [number, number, number, number];
  const [paddedHeight, paddedWidth] = [top + height + bottom, left + width + right];
  const bandRows = rows / bands;
  const bandHeight = (bandRows - 1) * strideHeight + kernelHeight;
  const positions = bandRows * columns;
  const wholeFilters = wholeBlocks(filters, block);

  const image = reshapeNode(emit, channels % block === 0 ? imageOfBlocks() : imageOfPlain(), [
    1,
    samples,
    bandHeight,
    paddedWidth * channels,
  ]);
  const kernels = reshapeNode(emit, cotangents(), [groups * wholeFilters, block, bandRows, columns]);
  const all = blockedConvNode(emit, [image, kernels], {
    kernel: [bandRows, columns],
    dilation: [strideHeight, strideWidth * channels],
    groups,
  });
  const size = wholeFilters * kernelHeight * kernelWidth * channels;
  const grouped = reshapeNode(emit, all, [groups, size]);
  const total = groups > 1 ? reduceNode(emit, "ReduceSum", grouped, [0]) : grouped;
  const split = [wholeFilters / block, kernelHeight, kernelWidth, channels, block];
  const ordered = transposeNode(emit, reshapeNode(emit, total, split), [0, 4, 3, 1, 2]);
  const result = reshapeNode(emit, ordered, [wholeFilters, channels, kernelHeight, kernelWidth]);
  return wholeFilters === filters
    ? result
    : sliceNode(emit, result, { axes: [0], starts: [0], ends: [filters], steps: [1] });

  /** [groups, height, padded width, C, b of N] of an input in whole blocks of channels. */
  function imageOfBlocks(): string {
    const padded = padBlocks(emit, toBlocks(emit, x), channels, padding);
    const channelBlocks = channels / block;
    const banded = cutBands(padded, [images, channelBlocks, paddedHeight, paddedWidth * block], 2);
    const area = bandHeight * paddedWidth * block;
    const blocks = toBlocks(emit, reshapeNode(emit, banded, [groups, block, 1, channelBlocks * area]));
    if (channelBlocks === 1) return blocks;
    const apart = [groups, channelBlocks, bandHeight * paddedWidth, block * block];
    return transposeNode(emit, reshapeNode(emit, blocks, apart), [0, 2, 1, 3]);
  }

  /** The same of an input with another number of channels, by way of [N, H, W, C]. */
  function imageOfPlain(): string {
    const last = transposeNode(emit, x, [0, 2, 3, 1]);
    const padded = padding.every((count) => count === 0)
      ? last
      : emit.node("Pad", [last, int64Vector(emit, [0, top, left, 0, 0, bottom, right, 0])]);
    const banded = cutBands(padded, [images, paddedHeight, paddedWidth * channels], 1);
    const area = bandHeight * paddedWidth * channels;
    return toBlocks(emit, reshapeNode(emit, banded, [groups, block, 1, area]));
  }

  /** Bands of rows, with what the kernel reaches beyond them, as further samples. */
  function cutBands(name: string, shape: readonly number[], axis: number): string {
    if (bands === 1) return name;
    const whole = reshapeNode(emit, name, shape);
    const cut = Array.from({ length: bands! }, (_, band) => {
      const start = band * bandRows * strideHeight;
      return sliceNode(emit, whole, {
        axes: [axis],
        starts: [start],
        ends: [start + bandHeight],
        steps: [1],
      });
    });
    return emit.node("Concat", cut, { axis: { int: 0 } });
  }

  /** [groups, K/b, positions, b of N, b of K]. */
  function cotangents(): string {
    const inBlocks = filters === wholeFilters ? emit.form(dy, "blocks") : undefined;
    if (bands === 1 && inBlocks !== undefined) {
      const apart = reshapeNode(emit, inBlocks, [groups, block, filters / block, positions, block]);
      return transposeNode(emit, apart, [0, 2, 3, 1, 4]);
    }
    const banded =
      bands === 1
        ? dy
        : transposeNode(emit, reshapeNode(emit, dy, [images, filters, bands!, positions]), [2, 0, 1, 3]);
    // Samples become blocks first, then filters.
    const bySample = toBlocks(emit, reshapeNode(emit, banded, [groups, block, 1, filters * positions]));
    return toBlocks(emit, reshapeNode(emit, bySample, [groups, filters, 1, positions * block]));
  }
}

/**
 * The gradient of filters of one channel each, as a blocked convolution of every sample's channel with its own cotangent; samples are
 * summed at the end. Nothing is copied but the reordering.
 */
export function blockedDepthwiseGradient(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input, output, window }: FilterGradient,
  padding: readonly number[],
): string | undefined {
  const block = channelBlock(emit.target);
  const [samples, channels, height, width] = input as [number, number, number, number];
  const [, filters, rows, columns] = output as [number, number, number, number];
  const depthwise = window.kernel.length === 2 && window.groups === channels && filters === channels;
  const plain = [...window.stride, ...window.dilation].every((step) => step === 1);
  if (block === 0 || !depthwise || !plain || channels % 4 !== 0) return undefined;
  const whole = wholeBlocks(channels, block);
  const taps = window.kernel[0]! * window.kernel[1]!;
  const image = reshapeNode(emit, toBlocks(emit, x), [1, samples * whole, height, width]);
  const kernels = reshapeNode(emit, toBlocks(emit, dy), [samples * whole, 1, rows, columns]);
  const all = blockedConvNode(emit, [image, kernels], {
    kernel: [rows, columns],
    padding,
    groups: samples * whole,
  });
  const total = reduceNode(emit, "ReduceSum", reshapeNode(emit, all, [samples, whole * taps]), [0]);
  const split = reshapeNode(emit, total, [whole / block, taps, block]);
  const result = reshapeNode(emit, transposeNode(emit, split, [0, 2, 1]), [whole, 1, ...window.kernel]);
  return whole === channels
    ? result
    : sliceNode(emit, result, { axes: [0], starts: [0], ends: [channels], steps: [1] });
}
