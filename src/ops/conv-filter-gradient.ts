import { elementCount } from "../base/dtype.js";
import type { Emitter } from "../graph/emitter.js";
import { convNode } from "./conv-node.js";
import { cpuForms } from "./cpu-forms.js";
import { reduceNode, reshapeNode, sliceNode, strideNode, transposeNode } from "./nodes.js";
import { kernelExtent, type Window } from "./window.js";

/** Shapes of a filter gradient: input [N, C, ...], output (cotangent) [N, K, ...]. */
export interface FilterGradient {
  readonly input: readonly number[];
  readonly output: readonly number[];
  readonly window: Window & { readonly groups: number; readonly kernel: readonly number[] };
}

/**
 * Nodes for the gradient of convolution filters. Everything is one convolution in which the cotangent slides over the input as a
 * dilated kernel (stride and dilation change roles), in the arrangement that is fastest for the shape.
 */
export function emitFilterGradient(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  problem: FilterGradient,
): string {
  const { input, window } = problem;
  const { kernel } = window;
  const isPointwise = kernel.every((size) => size === 1) && window.padding.every((count) => count === 0);
  // Channel by channel, products would be of single rows.
  if (isPointwise && input[1]! > window.groups) return pointwise(emit, [x, dy], problem);
  const fit = fitInput(emit, x, problem);
  const operands = [fit.x, dy] as const;
  const fitted = { ...problem, input: [...input.slice(0, 2), ...fit.sizes] };
  const form = cpuForms(emit)?.filterGradient(emit, operands, fitted, fit.padding);
  if (form !== undefined) return form;
  const isPlane = kernel.length === 2 && window.groups === 1 && window.dilation.every((step) => step === 1);
  return (isPlane ? channelsInWidth : channelsAsBatch)(emit, operands, fitted, fit.padding);
}

/** Cuts input that no window reaches and finds the padding with which exactly the kernel's positions come out. */
function fitInput(emit: Emitter, x: string, { input, output, window }: FilterGradient) {
  const sizes = input.slice(2);
  const axes = sizes.length;
  const ends = sizes.map((size, axis) => {
    const reached =
      (output[axis + 2]! - 1) * window.stride[axis]! +
      kernelExtent(window.kernel[axis]!, window.dilation[axis]!);
    return reached - size - window.padding[axis]!;
  });
  const cut = ends.map((_, axis) => axis).filter((axis) => ends[axis]! < 0);
  const fitted = sizes.map((size, axis) => size + Math.min(0, ends[axis]!));
  const padding = [...window.padding.slice(0, axes), ...ends.map((end) => Math.max(0, end))];
  if (cut.length === 0) return { x, sizes: fitted, padding };
  const sliced = sliceNode(emit, x, {
    axes: cut.map((axis) => axis + 2),
    starts: cut.map(() => 0),
    ends: cut.map((axis) => fitted[axis]!),
    steps: cut.map(() => 1),
  });
  return { x: sliced, sizes: fitted, padding };
}

/** 1x1 filters: matrix products, over all samples at once where the filters are larger than a sample. */
function pointwise(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input, output, window }: FilterGradient,
): string {
  const [samples, channels] = [input[0]!, input[1]!];
  const filters = output[1]!;
  const positions = elementCount(output.slice(2));
  const sampled = strideNode(emit, x, input.slice(2), window.stride);
  const { groups } = window;
  const shape = [filters, channels / groups, ...window.kernel];
  if (groups === 1 && filters * channels >= positions * (filters + channels)) {
    // Samples between channels and positions: a copy of whole rows.
    const flat = (name: string, count: number) => {
      const rows = reshapeNode(emit, name, [samples, count, positions]);
      return reshapeNode(emit, transposeNode(emit, rows, [1, 0, 2]), [count, samples * positions]);
    };
    const product = emit.node("MatMul", [
      flat(dy, filters),
      transposeNode(emit, flat(sampled, channels), [1, 0]),
    ]);
    return reshapeNode(emit, product, shape);
  }
  const rows = (name: string, count: number) =>
    reshapeNode(emit, name, [samples * groups, count / groups, positions]);
  const columns = transposeNode(emit, rows(sampled, channels), [0, 2, 1]);
  const products = emit.node("MatMul", [rows(dy, filters), columns]);
  const bySample = groups === 1 ? products : reshapeNode(emit, products, [samples, ...shape]);
  return reshapeNode(emit, reduceNode(emit, "ReduceSum", bySample, [0]), shape);
}

/**
 * Two spatial axes, one group: samples become the channels of one image whose width holds position and channel, so that a single
 * convolution yields all filters. Samples are split into a few groups that are summed, which keeps the cores busy.
 */
function channelsInWidth(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input, output, window }: FilterGradient,
  padding: readonly number[],
): string {
  const [samples, channels, height, width] = input as [number, number, number, number];
  const [, filters, rows, columns] = output as [number, number, number, number];
  const [kernelHeight, kernelWidth] = window.kernel as [number, number];
  const small = filters * channels * kernelHeight * kernelWidth <= samples * filters * rows * columns;
  const groups = small ? ([4, 2].find((count) => samples % count === 0) ?? 1) : 1;
  const perGroup = samples / groups;
  const image = reshapeNode(emit, transposeNode(emit, x, [0, 2, 3, 1]), [
    1,
    samples,
    height,
    width * channels,
  ]);
  const split = reshapeNode(emit, dy, [groups, perGroup, filters, rows * columns]);
  const kernels = reshapeNode(emit, transposeNode(emit, split, [0, 2, 1, 3]), [
    groups * filters,
    perGroup,
    rows,
    columns,
  ]);
  const all = emit.node("Conv", [image, kernels], {
    kernel_shape: { ints: [rows, columns] },
    strides: { ints: [1, 1] },
    pads: { ints: [padding[0]!, padding[1]! * channels, padding[2]!, padding[3]! * channels] },
    dilations: { ints: [window.stride[0]!, window.stride[1]! * channels] },
    group: { int: groups },
  });
  const grouped = reshapeNode(emit, all, [groups, filters * kernelHeight * kernelWidth * channels]);
  const total = groups > 1 ? reduceNode(emit, "ReduceSum", grouped, [0]) : grouped;
  return transposeNode(
    emit,
    reshapeNode(emit, total, [filters, kernelHeight, kernelWidth, channels]),
    [0, 3, 1, 2],
  );
}

/** Any rank and groups: input channels of a group become the batch, samples the channels. */
function channelsAsBatch(
  emit: Emitter,
  [x, dy]: readonly [string, string],
  { input, output, window }: FilterGradient,
  padding: readonly number[],
): string {
  const [samples, channels] = [input[0]!, input[1]!];
  const filters = output[1]!;
  const { groups } = window;
  const axes = window.kernel.map((_, axis) => axis);
  const perGroup = channels / groups;
  const split = reshapeNode(emit, x, [samples, groups, perGroup, ...input.slice(2)]);
  const image = reshapeNode(emit, transposeNode(emit, split, [2, 1, 0, ...axes.map((axis) => axis + 3)]), [
    perGroup,
    groups * samples,
    ...input.slice(2),
  ]);
  const kernels = transposeNode(emit, dy, [1, 0, ...axes.map((axis) => axis + 2)]);
  const all = convNode(
    emit,
    [image, kernels],
    { input: input.slice(2), weight: [filters, samples, ...output.slice(2)] },
    { stride: window.dilation, padding, dilation: window.stride, groups },
  );
  return transposeNode(emit, reshapeNode(emit, all, [perGroup, filters, ...window.kernel]), [
    1,
    0,
    ...axes.map((axis) => axis + 2),
  ]);
}
