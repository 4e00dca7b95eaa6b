import * as z from "zod/mini";
import type { Model } from "../../graph/model.js";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { Module } from "../../nn/module.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { averagePool } from "../../ops/average-pool.js";
import { maxPool } from "../../ops/pool.js";
import { max, mean } from "../../ops/reduce.js";
import { interpolate } from "../../ops/resize.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";
import { roundedWidth } from "../reduction.js";

interface GatherOptions {
  readonly channels: number;
  /** Pixels between two cells; 0 for one cell of the whole image. */
  readonly extent: number;
  readonly extraParams: boolean;
  readonly featureSize?: readonly [number, number] | null | undefined;
  readonly addMaxPool: boolean;
}

/** Kernels of the depthwise convolutions that gather; none where pooling does. */
function gatherKernels({ extent, extraParams, featureSize }: GatherOptions): (readonly [number, number])[] {
  if (!extraParams) return [];
  if (extent > 0) return Array.from({ length: Math.log2(extent) }, () => [3, 3] as const);
  return featureSize ? [featureSize] : [];
}

/** Lengths of an axis of `length` pixels after each gathering step; the last one is that of the grid. */
function gridLengths(options: GatherOptions, axis: 0 | 1, length: number): number[] {
  const { extent, extraParams } = options;
  if (!extraParams) return [extent === 0 ? 1 : Math.ceil(length / extent)];
  return gatherKernels(options).map((kernel, step) =>
    // An even kernel loses a pixel.
    extent === 0 ? length - 1 + (kernel[axis] % 2) : Math.ceil(length / 2 ** (step + 1)),
  );
}

/** Gathers by depthwise convolutions with batch normalization: halving ones, or one that keeps the size. */
class LearnedGather extends Module {
  readonly convs: readonly Conv2d[];
  readonly norms: readonly BatchNorm[];

  constructor(options: GatherOptions) {
    super();
    const { channels, extent } = options;
    this.convs = gatherKernels(options).map((kernel) => {
      const padding = kernel.map((length) => Math.floor((length - 1) / 2));
      const window = { kernel, stride: extent === 0 ? 1 : 2, padding };
      return new Conv2d({
        inChannels: channels,
        outChannels: channels,
        groups: channels,
        bias: false,
        ...window,
      });
    });
    this.norms = this.convs.map(() => new BatchNorm({ channels }));
  }

  override *ownParts(): Generator<readonly [string, Model]> {
    for (const [index, conv] of this.convs.entries()) {
      yield [`conv${index + 1}`, conv];
      yield [`norm${index + 1}`, this.norms[index]!];
    }
  }

  /** @param x [N, C, H, W]  @returns [N, C, h, w] */
  forward(x: Tensor): Tensor {
    return this.convs.reduce((value, conv, index) => {
      const g = this.norms[index]!.forward(conv.forward(value));
      return index < this.convs.length - 1 ? relu(g) : g;
    }, x);
  }
}

/** Two 1x1 convolutions. */
class ExciteMlp extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor({ channels, hidden }: { readonly channels: number; readonly hidden: number }) {
    super();
    this.fc1 = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1 });
    this.fc2 = new Conv2d({ inChannels: hidden, outChannels: channels, kernel: 1 });
  }

  /** @param g [N, C, h, w]  @returns [N, C, h, w] */
  forward(g: Tensor): Tensor {
    return this.fc2.forward(relu(this.fc1.forward(g)));
  }
}

/** Mean over cells, or over the whole image; with `addMaxPool` half of it and half of the maximum. [N, C, H, W] -> [N, C, h, w] */
function poolGather(x: Tensor, { extent, addMaxPool }: GatherOptions): Tensor {
  const reach = 2 * extent - 1;
  const window = { kernel: [reach, reach], stride: extent, padding: extent - 1 };
  const average =
    extent === 0 ? mean(x, { axes: [2, 3] }) : averagePool(x, { ...window, countIncludePad: false });
  if (!addMaxPool) return average;
  const largest = extent === 0 ? max(x, { axes: [2, 3] }) : maxPool(x, window);
  return mul(add(average, largest), 0.5);
}

/**
 * Gather-Excite: gathers features over cells of the image by pooling or by depthwise convolutions, and gates each pixel by its cell.
 * Hu, Shen, Albanie, Sun, Vedaldi: Gather-Excite, NeurIPS 2018, arXiv:1810.12348. The paper's GE-theta-minus is `useMlp: false`;
 * GE-theta is `extraParams` with `useMlp: false`; GE-theta-plus has both.
 * Deviations, as in timm: the learned gather of the whole image (`extent: 0`, `extraParams`) pads, so that its grid has about the
 * size of the image, where the paper gathers one cell; `addMaxPool`.
 */
export class GatherExcite extends mechanism({
  id: "ge",
  name: "Gather-Excite",
  family: "spatial",
  year: 2018,
  paper:
    "Hu, Shen, Albanie, Sun, Vedaldi: Gather-Excite: Exploiting Feature Context in Convolutional Neural Networks, NeurIPS 2018",
  arxiv: "1810.12348",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(\mathrm{up}\,W_2\,\delta(W_1\,\mathrm{gather}_e(\mathbf{x}))\right)`,
  options: z
    .strictObject({
      channels: size,
      extent: z._default(
        z.int().check(
          z.gte(0),
          z.refine((e) => e === 0 || (e >= 2 && Number.isInteger(Math.log2(e))), "must be 0, 2, 4, 8, ..."),
        ),
        0,
      ),
      extraParams: flag(false),
      featureSize: optional(z.tuple([size, size])),
      useMlp: flag(true),
      reduction: z._default(positive, 16),
      reducedChannels: optional(size),
      addMaxPool: flag(false),
    })
    .check(
      z.refine((o) => !o.extraParams || o.extent > 0 || o.featureSize != null, {
        error: "must be given to learn how the whole image is gathered: extraParams with extent 0",
        path: ["featureSize"],
      }),
    ),
  maps: ({ channels, extent, extraParams }) => ({
    gate:
      extent === 0 && !extraParams
        ? { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] }
        : // The size of the image, or 1 x 1 where the grid has one cell.
          { kind: "spatial", shape: ["batch", channels, "gateHeight", "gateWidth"], range: [0, 1] },
  }),
  parameters: (options) => {
    const [c, r] = [options.channels, roundedWidth(options)];
    const gather = gatherKernels(options).reduce(
      (total, [rows, columns]) => total + c * (rows * columns + 2),
      0,
    );
    return gather + (options.useMlp ? 2 * c * r + r + c : 0);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const c = options.channels;
    const [rows, columns] = [gridLengths(options, 0, height), gridLengths(options, 1, width)];
    const gather = gatherKernels(options).map(([h, w], step) => h * w * c * rows[step]! * columns[step]!);
    const mlp = options.useMlp ? 2 * c * roundedWidth(options) * rows.at(-1)! * columns.at(-1)! : 0;
    return batch * gather.reduce((total, macs) => total + macs, mlp);
  },
  refused: [
    { channels: 0 },
    { extent: -2 },
    { extent: 1 },
    { extent: 3 },
    { extent: 6 },
    { extraParams: true, extent: 0, featureSize: undefined },
    { featureSize: [0, 3] },
    { featureSize: [3] },
    { reduction: 0 },
    { reducedChannels: 0 },
  ],
  examples: [
    {
      options: { channels: 8, extent: 2, reduction: 4, addMaxPool: true },
      sizes: { batch: 2, height: 5, width: 7, gateHeight: 5, gateWidth: 7 },
    },
    {
      options: { channels: 6, extent: 4, extraParams: true, useMlp: false },
      sizes: { batch: 2, height: 6, width: 9, gateHeight: 6, gateWidth: 9 },
    },
    {
      options: { channels: 6, extraParams: true, featureSize: [4, 3], reducedChannels: 3 },
      sizes: { batch: 2, height: 5, width: 4, gateHeight: 5, gateWidth: 4 },
    },
    { options: { channels: 8, reduction: 2, addMaxPool: true }, sizes: { batch: 2, height: 4, width: 3 } },
  ],
}) {
  readonly gather?: LearnedGather;
  readonly mlp?: ExciteMlp;

  constructor(options: Options<typeof GatherExcite>) {
    super(options);
    const { channels, extraParams, useMlp } = this.options;
    if (extraParams) this.gather = new LearnedGather(this.options);
    if (useMlp) this.mlp = new ExciteMlp({ channels, hidden: roundedWidth(this.options) });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const gathered = this.gather?.forward(x) ?? poolGather(x, this.options); // [N, C, h, w]
    const g = this.mlp?.forward(gathered) ?? gathered;
    const oneCell = g.size(2) === 1 && g.size(3) === 1;
    const target = [x.size(2), x.size(3)];
    const gate = sigmoid(oneCell ? g : interpolate(g, { size: target, mode: "nearest" }));
    return mul(x, this.tap("gate", gate));
  }
}
