import type { Emitter, OnnxAttributes } from "../graph/emitter.js";
import { int64Vector, reshapeNode, sliceNode, transposeNode } from "./nodes.js";
import { kernelExtent, type Window } from "./window.js";

/** Window of a convolution; `groups` splits the channels. */
export interface ConvWindow extends Window {
  readonly groups: number;
}

/** Sizes that the nodes of a convolution depend on. */
export interface ConvSizes {
  /** Spatial sizes of the input. */
  readonly input: readonly number[];
  /** [K, C/groups, ...]. */
  readonly weight: readonly number[];
}

/** Attributes of an ONNX Conv. */
export function convNodeAttributes(kernel: readonly number[], window: ConvWindow): OnnxAttributes {
  return {
    kernel_shape: { ints: kernel },
    strides: { ints: window.stride },
    pads: { ints: window.padding },
    dilations: { ints: window.dilation },
    group: { int: window.groups },
  };
}

/** A Conv node of input, weight and perhaps bias. Any batch size. */
export function convNode(
  emit: Emitter,
  operands: readonly string[],
  sizes: ConvSizes,
  window: ConvWindow,
): string {
  const kernel = sizes.weight.slice(2);
  // ONNX Runtime's WebGPU kernel refuses groups over three axes when it runs.
  return emit.target.kind === "webgpu" && kernel.length === 3 && window.groups > 1
    ? planarConv(emit, operands, sizes, window)
    : emit.node("Conv", operands, convNodeAttributes(kernel, window));
}

/** Three spatial axes as two: depth positions join the samples, depth offsets of the kernel the channels of each group. */
function planarConv(
  emit: Emitter,
  [x, weight, ...bias]: readonly string[],
  { input, weight: weightShape }: ConvSizes,
  window: ConvWindow,
): string {
  const [filters, perGroup, depth, ...plane] = weightShape as [number, number, number, number, number];
  const channels = perGroup * window.groups;
  const [stride, ...planeStride] = window.stride as [number, ...number[]];
  const [dilation, ...planeDilation] = window.dilation as [number, ...number[]];
  const [front, top, left, back, bottom, right] = window.padding as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const padded = padAxes(emit, x!, 5, [{ axis: 2, begin: front, end: back }]);
  const count = Math.floor((input[0]! + front + back - kernelExtent(depth, dilation)) / stride) + 1;
  const offsets = Array.from({ length: depth }, (_, offset) => {
    const start = offset * dilation;
    const end = start + (count - 1) * stride + 1;
    const slice = sliceNode(emit, padded, { axes: [2], starts: [start], ends: [end], steps: [stride] });
    return reshapeNode(emit, slice, [-1, channels, 1, count, ...input.slice(1)]);
  });
  const windows = emit.node("Concat", offsets, { axis: { int: 2 } });
  const images = reshapeNode(emit, transposeNode(emit, windows, [0, 3, 1, 2, 4, 5]), [
    -1,
    channels * depth,
    ...input.slice(1),
  ]);
  const filtersOfPlane = reshapeNode(emit, weight!, [filters, perGroup * depth, ...plane]);
  const planeWindow = {
    stride: planeStride,
    dilation: planeDilation,
    padding: [top, left, bottom, right],
    groups: window.groups,
  };
  const y = emit.node("Conv", [images, filtersOfPlane, ...bias], convNodeAttributes(plane, planeWindow));
  const extents = plane.map(
    (size, axis) =>
      Math.floor(
        (input[axis + 1]! +
          planeWindow.padding[axis]! +
          planeWindow.padding[axis + 2]! -
          kernelExtent(size, planeDilation[axis]!)) /
          planeStride[axis]!,
      ) + 1,
  );
  return transposeNode(emit, reshapeNode(emit, y, [-1, count, filters, ...extents]), [0, 2, 1, 3, 4]);
}

/** Zeros before and after the content of some axes. */
function padAxes(
  emit: Emitter,
  x: string,
  rank: number,
  sides: readonly { readonly axis: number; readonly begin: number; readonly end: number }[],
): string {
  if (sides.every(({ begin, end }) => begin === 0 && end === 0)) return x;
  const pads = Array<number>(2 * rank).fill(0);
  for (const { axis, begin, end } of sides) {
    pads[axis] = begin;
    pads[rank + axis] = end;
  }
  return emit.node("Pad", [x, int64Vector(emit, pads)]);
}

/**
 * A transposed convolution as a convolution of the input with zeros between its elements. For targets without a kernel for it.
 * @param mirrored filters [C, K/groups, ...], reversed
 * @param sizes.weight the shape of `mirrored`
 */
export function spreadConv(
  emit: Emitter,
  [x, mirrored]: readonly [string, string],
  sizes: ConvSizes,
  window: ConvWindow & { readonly outputSize: readonly number[] },
): string {
  const { input, weight } = sizes;
  const channels = weight[1]! * window.groups;
  const axes = input.length;
  let spread = x;
  const lengths = [...input];
  for (const [axis, step] of window.stride.entries()) {
    if (step === 1) continue;
    const before = [-1, channels, ...lengths.slice(0, axis)];
    const after = lengths.slice(axis + 1);
    const apart = reshapeNode(emit, spread, [...before, lengths[axis]!, 1, ...after]);
    const filled = padAxes(emit, apart, axes + 3, [{ axis: axis + 3, begin: 0, end: step - 1 }]);
    lengths[axis]! *= step;
    spread = reshapeNode(emit, filled, [...before, lengths[axis]!, ...after]);
  }
  // What the window has to reach beyond the content, or content that it must not reach.
  const extents = window.stride.map((_, axis) => kernelExtent(weight[axis + 2]!, window.dilation[axis]!));
  const begin = extents.map((extent, axis) => extent - 1 - window.padding[axis]!);
  const end = extents.map(
    (extent, axis) => window.outputSize[axis]! - lengths[axis]! - begin[axis]! + extent - 1,
  );
  const starts = begin.map((count) => Math.max(0, -count));
  const ends = end.map((count, axis) => lengths[axis]! + Math.min(0, count));
  const whole = starts.every((start, axis) => start === 0 && ends[axis] === lengths[axis]);
  const content = whole
    ? spread
    : sliceNode(emit, spread, {
        axes: starts.map((_, axis) => axis + 2),
        starts,
        ends,
        steps: starts.map(() => 1),
      });
  return convNode(
    emit,
    [content, mirrored],
    { input: ends.map((stop, axis) => stop - starts[axis]!), weight },
    {
      stride: starts.map(() => 1),
      dilation: window.dilation,
      padding: [...begin, ...end].map((count) => Math.max(0, count)),
      groups: window.groups,
    },
  );
}
