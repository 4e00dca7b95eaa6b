import { elementCount } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import { concreteShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { emitFilterGradient } from "./conv-filter-gradient.js";
import { type ConvWindow, convNode, convNodeAttributes, spreadConv } from "./conv-node.js";
import { cpuForms } from "./cpu-forms.js";
import { reshapeNode, sliceNode, transposeNode } from "./nodes.js";
import { sum } from "./reduce.js";
import { kernelExtent, normalizeWindow, type WindowAttributes, windowCounts } from "./window.js";

/** Attributes of a convolution; `groups` splits the channels. */
export interface ConvAttributes extends WindowAttributes {
  readonly groups?: number;
}

/** Attributes of a transposed convolution; `outputSize` are the spatial sizes of its result. */
export interface ConvTransposeAttributes extends ConvAttributes {
  readonly outputSize: readonly number[];
}

/** Attributes of the gradient of a convolution's filters; `kernel` are their spatial sizes. */
export interface ConvFilterGradientAttributes extends ConvAttributes {
  readonly kernel: readonly number[];
}

function normalizeConv<A extends ConvAttributes>(attributes: A, x: Tensor): A & ConvWindow {
  if (x.rank < 3 || x.rank > 5)
    throw new ShapeError(`input must have 1 to 3 spatial axes, found rank ${x.rank}`);
  const { groups = 1 } = attributes;
  if (!Number.isInteger(groups) || groups < 1)
    throw new ShapeError(`groups must be an integer >= 1, found ${groups}`);
  return { ...attributes, ...normalizeWindow(attributes, x.rank - 2), groups };
}

/** Sizes of the spatial axes. */
export function spatialSizes(x: Tensor): number[] {
  return x.shape.slice(2).map((_, axis) => x.size(axis + 2));
}

function requireChannels(found: number, expected: number, what: string): void {
  if (found !== expected) throw new ShapeError(`${what} must have ${expected} channels, found ${found}`);
}

function divideChannels(channels: number, groups: number, what: string): number {
  if (channels % groups !== 0)
    throw new ShapeError(`${what} ${channels} must be divisible by groups ${groups}`);
  return channels / groups;
}

/** Multiply-accumulates: each value on the small side meets the whole kernel of its group. */
function convMacs(positions: Tensor, weight: Tensor): number {
  return (
    (elementCount(concreteShape(positions.shape)) / weight.size(0)) *
    elementCount(concreteShape(weight.shape))
  );
}

/**
 * Cross-correlation over 1 to 3 spatial axes: x [N, C, ...], weight [K, C/groups, ...], bias [K] -> [N, K, ...]. ONNX Conv-11.
 */
export const conv: Op<[x: Tensor, weight: Tensor, bias?: Tensor], ConvAttributes> = defineOp("conv", {
  normalize: (attributes, [x]) => normalizeConv(attributes, x),
  type: ([x, weight, bias], attributes) => {
    const window = attributes as ConvWindow;
    requireFloats([x, weight, bias]);
    if (weight.rank !== x.rank)
      throw new ShapeError(`weight must have rank ${x.rank}, found rank ${weight.rank}`);
    requireChannels(x.size(1), weight.size(1) * window.groups, "input");
    divideChannels(weight.size(0), window.groups, "output channels");
    if (bias && (bias.rank !== 1 || bias.size(0) !== weight.size(0))) {
      throw new ShapeError(`bias must be [${weight.size(0)}]`);
    }
    const counts = windowCounts(spatialSizes(x), spatialSizes(weight), window);
    return { shape: [x.shape[0]!, weight.size(0), ...counts], dtype: "float32" };
  },
  onnx: (emit, operands, { inputs: [x, weight], attributes }) => {
    const sizes = { input: spatialSizes(x), weight: concreteShape(weight.shape) };
    const window = attributes as ConvWindow;
    return cpuForms(emit)?.conv(emit, operands, sizes, window) ?? convNode(emit, operands, sizes, window);
  },
  gradient: ({ inputs: [x, weight, bias], attributes, cotangent: dy }) => [
    () => convTranspose(dy, weight, { ...attributes, outputSize: spatialSizes(x) }),
    () => convFilterGradient(x, dy, { ...attributes, kernel: spatialSizes(weight) }),
    ...(bias
      ? ([() => sum(dy, { axes: [0, ...spatialAxes(dy)], keepDims: false })] as const)
      : ([] as const)),
  ],
  macs: ({ inputs: [, weight], output }) => convMacs(output, weight),
  samples: [
    { inputs: [[2, 2, 4, 3], [3, 2, 3, 2], [3]], attributes: { stride: [2, 1], padding: [1, 0, 1, 1] } },
    {
      inputs: [
        [1, 4, 5, 5],
        [4, 2, 2, 2],
      ],
      attributes: { dilation: 2, groups: 2, stride: 2, padding: 1 },
    },
    {
      inputs: [
        [2, 3, 4, 4],
        [3, 1, 3, 3],
      ],
      attributes: { groups: 3, padding: 1 },
    },
    {
      inputs: [
        [2, 3, 5],
        [2, 3, 3],
      ],
      attributes: { padding: 1, stride: 2 },
    },
    {
      inputs: [
        [1, 2, 3, 3, 2],
        [2, 2, 2, 2, 2],
      ],
      attributes: { padding: 1 },
    },
    {
      inputs: [[2, 4, 4, 3, 2], [4, 2, 2, 2, 2], [4]],
      attributes: { groups: 2, stride: [2, 1, 1], padding: [1, 1, 0, 0, 1, 0], dilation: [2, 1, 1] },
    },
    {
      inputs: [
        [2, 3, 2, 2],
        [4, 3, 1, 1],
      ],
    },
  ],
});

function spatialAxes(x: Tensor): number[] {
  return x.shape.map((_, axis) => axis).slice(2);
}

/**
 * Transposed convolution, the gradient of `conv` with respect to its input: x [N, K, ...], weight [K, C/groups, ...] ->
 * [N, C, ...outputSize]. ONNX ConvTranspose-11; at stride 1 an ordinary convolution with mirrored filters, which is faster.
 */
export const convTranspose: Op<[x: Tensor, weight: Tensor], ConvTransposeAttributes> = defineOp(
  "convTranspose",
  {
    normalize: (attributes, [x]) => normalizeConv(attributes, x),
    type: ([x, weight], attributes) => {
      const window = attributes as ConvWindow & ConvTransposeAttributes;
      requireFloats([x, weight]);
      if (weight.rank !== x.rank)
        throw new ShapeError(`weight must have rank ${x.rank}, found rank ${weight.rank}`);
      requireChannels(x.size(1), weight.size(0), "input");
      divideChannels(weight.size(0), window.groups, "input channels");
      const counts = windowCounts(window.outputSize, spatialSizes(weight), window);
      if (counts.some((count, axis) => count !== x.size(axis + 2))) {
        throw new ShapeError(
          `outputSize [${window.outputSize.join(", ")}] belongs to inputs of [${counts.join(", ")}]`,
        );
      }
      return { shape: [x.shape[0]!, weight.size(1) * window.groups, ...window.outputSize], dtype: "float32" };
    },
    onnx: (emit, [x, w], { inputs: [input, weight], attributes }) => {
      const window = attributes as ConvWindow & ConvTransposeAttributes;
      const kernel = spatialSizes(weight);
      const axes = kernel.length;
      const extents = kernel.map((size, axis) => kernelExtent(size, window.dilation[axis]!));
      const mirrored = window.padding.map((count, side) => extents[side % axes]! - 1 - count);
      const [outputs, perGroup] = [weight.size(0), weight.size(1)];
      const { groups } = window;
      const sizes = {
        input: spatialSizes(input),
        weight: [groups * perGroup, outputs / groups, ...kernel],
      };
      const other = cpuForms(emit)?.convTranspose(
        emit,
        [x!, w!],
        { input: input.shape, weight: concreteShape(weight.shape), outputSize: window.outputSize },
        window,
      );
      if (other !== undefined) return other;
      if (window.stride.every((step) => step === 1) && mirrored.every((count) => count >= 0)) {
        const reversed = { ...window, padding: mirrored };
        const inForm = cpuForms(emit)?.mirroredConv(emit, [x!, w!], sizes, reversed);
        if (inForm !== undefined) return inForm;
        const operands = [x!, mirrorFilters()];
        const grouped = groups > 1 ? cpuForms(emit)?.conv(emit, operands, sizes, reversed) : undefined;
        return grouped ?? convNode(emit, operands, sizes, reversed);
      }
      // ONNX Runtime's WebGPU kernel refuses three axes when it runs.
      if (emit.target.kind === "webgpu" && axes === 3) {
        return spreadConv(emit, [x!, mirrorFilters()], sizes, window);
      }
      const extra = window.outputSize.map((size, axis) => {
        const reached = (input.size(axis + 2) - 1) * window.stride[axis]! + extents[axis]!;
        return size - reached + window.padding[axis]! + window.padding[axes + axis]!;
      });
      return emit.node("ConvTranspose", [x!, w!], {
        ...convNodeAttributes(kernel, window),
        output_padding: { ints: extra },
      });

      /** [K, C/g, ...] -> [C, K/g, ...] with every spatial axis reversed. */
      function mirrorFilters(): string {
        const spatial = kernel.map((_, axis) => axis);
        const reversed = kernel.some((size) => size > 1)
          ? sliceNode(emit, w!, {
              axes: spatial.map((axis) => axis + 2),
              starts: spatial.map(() => -1),
              ends: spatial.map(() => -(2 ** 31)),
              steps: spatial.map(() => -1),
            })
          : w!;
        if (groups === 1) return transposeNode(emit, reversed, [1, 0, ...spatial.map((axis) => axis + 2)]);
        const grouped = reshapeNode(emit, reversed, [groups, outputs / groups, perGroup, ...kernel]);
        const swapped = transposeNode(emit, grouped, [0, 2, 1, ...spatial.map((axis) => axis + 3)]);
        return reshapeNode(emit, swapped, [groups * perGroup, outputs / groups, ...kernel]);
      }
    },
    gradient: ({ inputs: [x, weight], attributes, cotangent: dy }) => {
      const { outputSize: _, ...window } = attributes;
      return [
        () => conv(dy, weight, undefined, window),
        () => convFilterGradient(dy, x, { ...window, kernel: spatialSizes(weight) }),
      ];
    },
    macs: ({ inputs: [x, weight] }) => convMacs(x, weight),
    samples: [
      {
        inputs: [
          [2, 3, 3, 2],
          [3, 2, 3, 2],
        ],
        attributes: { padding: 1, outputSize: [3, 1] },
      },
      {
        inputs: [
          [1, 4, 3, 2],
          [4, 1, 3, 3],
        ],
        attributes: { groups: 2, stride: 2, padding: 1, outputSize: [6, 3] },
      },
      {
        inputs: [
          [1, 4, 3, 3],
          [4, 2, 2, 2],
        ],
        attributes: { groups: 2, dilation: 2, padding: [1, 0, 0, 1], outputSize: [4, 4] },
      },
      {
        inputs: [
          [2, 2, 3],
          [2, 2, 2],
        ],
        attributes: { stride: 3, outputSize: [9] },
      },
      {
        inputs: [
          [2, 4, 2, 3, 2],
          [4, 1, 2, 2, 1],
        ],
        attributes: { groups: 2, stride: [2, 1, 3], padding: [1, 0, 0, 0, 1, 0], outputSize: [4, 3, 4] },
      },
      {
        inputs: [
          [1, 2, 2, 2, 2],
          [2, 2, 3, 2, 2],
        ],
        attributes: { stride: 2, padding: 1, outputSize: [3, 3, 2] },
      },
    ],
  },
);

/**
 * Gradient of `conv` with respect to its weight: x [N, C, ...] and dy [N, K, ...] -> [K, C/groups, ...kernel].
 */
export const convFilterGradient: Op<[x: Tensor, dy: Tensor], ConvFilterGradientAttributes> = defineOp(
  "convFilterGradient",
  {
    normalize: (attributes, [x]) => normalizeConv(attributes, x),
    type: ([x, dy], attributes) => {
      const window = attributes as ConvWindow & ConvFilterGradientAttributes;
      requireFloats([x, dy]);
      const counts = windowCounts(spatialSizes(x), window.kernel, window);
      if (
        dy.rank !== x.rank ||
        counts.some((count, axis) => count !== dy.size(axis + 2)) ||
        dy.size(0) !== x.size(0)
      ) {
        throw new ShapeError(`dy must be [${x.size(0)}, K, ${counts.join(", ")}]`);
      }
      divideChannels(dy.size(1), window.groups, "channels of dy");
      return {
        shape: [dy.size(1), divideChannels(x.size(1), window.groups, "channels of x"), ...window.kernel],
        dtype: "float32",
      };
    },
    onnx: (emit, [x, dy], { inputs, attributes }) =>
      emitFilterGradient(emit, [x!, dy!], {
        input: concreteShape(inputs[0].shape),
        output: concreteShape(inputs[1].shape),
        window: attributes as ConvWindow & ConvFilterGradientAttributes,
      }),
    gradient: ({ inputs: [x, dy], attributes, cotangent }) => {
      const { kernel: _, ...window } = attributes;
      return [
        () => convTranspose(dy, cotangent, { ...window, outputSize: spatialSizes(x) }),
        () => conv(x, cotangent, undefined, window),
      ];
    },
    macs: ({ inputs: [, dy], output }) => convMacs(dy, output),
    samples: [
      {
        inputs: [
          [2, 2, 4, 3],
          [2, 3, 2, 3],
        ],
        attributes: { kernel: [3, 2], stride: [2, 1], padding: [1, 0, 1, 1] },
      },
      {
        inputs: [
          [4, 2, 5, 5],
          [4, 2, 5, 5],
        ],
        attributes: { kernel: [3, 3], padding: 1 },
      },
      {
        inputs: [
          [4, 2, 6, 6],
          [4, 2, 3, 3],
        ],
        attributes: { kernel: [3, 3], padding: 1, stride: 2 },
      },
      {
        inputs: [
          [2, 2, 6, 6],
          [2, 2, 2, 2],
        ],
        attributes: { kernel: [2, 2], stride: 3 },
      },
      {
        inputs: [
          [1, 4, 5, 5],
          [1, 4, 3, 3],
        ],
        attributes: { kernel: [2, 2], dilation: 2, groups: 2, stride: 2, padding: 1 },
      },
      {
        inputs: [
          [2, 3, 4, 4],
          [2, 3, 4, 4],
        ],
        attributes: { kernel: [3, 3], groups: 3, padding: 1 },
      },
      {
        inputs: [
          [2, 3, 5],
          [2, 2, 3],
        ],
        attributes: { kernel: [3], padding: 1, stride: 2 },
      },
      {
        inputs: [
          [1, 2, 3, 3, 2],
          [1, 2, 4, 4, 3],
        ],
        attributes: { kernel: [2, 2, 2], padding: 1 },
      },
      {
        inputs: [
          [2, 4, 4, 2, 2],
          [2, 2, 2, 2, 2],
        ],
        attributes: { kernel: [2, 1, 2], groups: 2, stride: [2, 1, 1], padding: [0, 0, 1, 0, 0, 0] },
      },
      {
        inputs: [
          [2, 3, 4, 4],
          [2, 2, 2, 2],
        ],
        attributes: { kernel: [1, 1], stride: 2 },
      },
      {
        inputs: [
          [2, 3, 1, 1],
          [2, 4, 1, 1],
        ],
        attributes: { kernel: [1, 1] },
      },
    ],
  },
);
