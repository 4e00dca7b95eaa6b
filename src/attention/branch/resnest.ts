import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { softmax } from "../../ops/normalize.js";
import { mean } from "../../ops/reduce.js";
import { reshape, slice, transpose } from "../../ops/shape.js";
import { positionCount, positionNames, type SquareWindow } from "../conv-sizes.js";
import { roundToDivisor } from "../divisor.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";

interface SplitOptions {
  readonly inChannels: number;
  readonly outChannels?: number | null | undefined;
  readonly kernelSize: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padding?: number | null | undefined;
  readonly groups: number;
  readonly radix: number;
  readonly reduction: number;
  readonly reductionDivisor: number;
  readonly reducedChannels?: number | null | undefined;
}

function outputWidth({ inChannels, outChannels }: SplitOptions): number {
  return outChannels ?? inChannels;
}

/** Hidden width a of the attention. */
function hiddenWidth(options: SplitOptions): number {
  const { inChannels, radix, reduction, reductionDivisor, reducedChannels } = options;
  if (reducedChannels != null) return reducedChannels * radix;
  return roundToDivisor((inChannels * radix) / reduction, reductionDivisor, 0.9, 32);
}

function window({ kernelSize, stride, dilation, padding }: SplitOptions): Required<SquareWindow> {
  return { kernel: kernelSize, stride, dilation, padding: padding ?? Math.floor(kernelSize / 2) };
}

/** Weights of the convolution, and of the two layers of the attention. */
function weightCounts(options: SplitOptions): { conv: number; attention: number } {
  const { inChannels, kernelSize, groups, radix } = options;
  const [o, a] = [outputWidth(options), hiddenWidth(options)];
  return {
    conv: (o * inChannels * kernelSize ** 2) / groups,
    attention: (o * a) / groups + (radix * o * a) / groups,
  };
}

/**
 * Split attention: one convolution makes `radix` splits of the features, weighted per channel by a softmax over the splits.
 * Zhang et al.: ResNeSt: Split-Attention Networks, CVPR Workshops 2022, arXiv:2004.08955, section 3.1.
 * As in the authors' code the logits of a cardinal group stand together, while the features of a split do.
 */
export class SplitAttention extends mechanism({
  id: "resnest",
  name: "Split Attention",
  family: "branch",
  year: 2020,
  paper: "Zhang et al.: ResNeSt: Split-Attention Networks, CVPR Workshops 2022",
  arxiv: "2004.08955",
  formula: String.raw`\mathbf{y} = \sum_r \mathrm{softmax}_r\!\left(W_2\,\delta\,\mathrm{BN}\,W_1\,\mathrm{GAP}\textstyle\sum_q\mathbf{u}_q\right)\mathbf{u}_r,\quad [\mathbf{u}_1; \ldots; \mathbf{u}_R] = \delta\,\mathrm{BN}(K * \mathbf{x})`,
  options: z
    .strictObject({
      inChannels: size,
      outChannels: optional(size),
      kernelSize: z._default(size, 3),
      stride: z._default(size, 1),
      dilation: z._default(size, 1),
      padding: optional(z.int().check(z.gte(0))),
      groups: z._default(size, 1),
      radix: z._default(size, 2),
      bias: flag(false),
      reduction: z._default(positive, 4),
      reductionDivisor: z._default(size, 8),
      reducedChannels: optional(size),
      norm: flag(true),
    })
    .check(
      z.refine((o) => o.inChannels % (o.groups * o.radix) === 0, {
        error: "must be divisible by groups * radix",
        path: ["inChannels"],
      }),
      z.refine((o) => outputWidth(o) % o.groups === 0, {
        error: "must divide outChannels",
        path: ["groups"],
      }),
      z.refine((o) => hiddenWidth(o) % o.groups === 0, {
        error: "must divide the hidden width of the attention",
        path: ["groups"],
      }),
    ),
  maps: (options) => ({
    attention: {
      kind: "branch",
      shape: ["batch", options.radix, outputWidth(options), 1, 1],
      range: [0, 1],
      ...(options.radix > 1 ? { sumsToOne: [1] } : {}),
    },
  }),
  calls: (options) => ({
    forward: {
      inputs: { x: { shape: ["batch", options.inChannels, "height", "width"] } },
      outputs: { y: ["batch", outputWidth(options), ...positionNames(window(options))] },
    },
  }),
  parameters: (options) => {
    const { radix, bias, norm } = options;
    const [o, a] = [outputWidth(options), hiddenWidth(options)];
    const { conv, attention } = weightCounts(options);
    return conv + attention + a + radix * o + (norm ? 2 * radix * o + 2 * a : 0) + (bias ? radix * o : 0);
  },
  macs: (options, { batch = 1, ...sizes }) => {
    const { conv, attention } = weightCounts(options);
    return batch * (positionCount(sizes, window(options)) * conv + attention);
  },
  refused: [
    { inChannels: 0 },
    { inChannels: 9 },
    { outChannels: 0 },
    { kernelSize: 0 },
    { stride: 0 },
    { dilation: 0 },
    { padding: -1 },
    { groups: 0 },
    { groups: 3 },
    { groups: 4, outChannels: 6 },
    { groups: 2, radix: 1, reducedChannels: 3 },
    { radix: 0 },
    { reduction: 0 },
    { reductionDivisor: 0 },
    { reducedChannels: 0 },
  ],
  examples: [
    {
      options: { inChannels: 8, groups: 2, reducedChannels: 6 },
      sizes: { batch: 4, height: 5, width: 7 },
    },
    {
      options: { inChannels: 6, outChannels: 4, radix: 3, stride: 2, bias: true, norm: false },
      sizes: { batch: 2, height: 5, width: 4, outHeight: 3, outWidth: 2 },
    },
    {
      options: { inChannels: 4, radix: 1, dilation: 2, padding: 2, reducedChannels: 5 },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
}) {
  readonly conv: Conv2d;
  readonly bn0?: BatchNorm;
  readonly fc1: Conv2d;
  readonly bn1?: BatchNorm;
  readonly fc2: Conv2d;

  constructor(options: Options<typeof SplitAttention>) {
    super(options);
    const { inChannels, groups, radix, bias, norm } = this.options;
    const channels = outputWidth(this.options);
    const hidden = hiddenWidth(this.options);
    this.conv = new Conv2d({
      inChannels,
      outChannels: radix * channels,
      groups: groups * radix,
      bias,
      ...window(this.options),
    });
    this.fc1 = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1, groups });
    this.fc2 = new Conv2d({ inChannels: hidden, outChannels: radix * channels, kernel: 1, groups });
    if (norm) {
      this.bn0 = new BatchNorm({ channels: radix * channels });
      this.bn1 = new BatchNorm({ channels: hidden });
    }
  }

  /** @param x [N, inChannels, H, W]  @returns [N, O, H', W'] */
  forward(x: Tensor): Tensor {
    const { radix } = this.options;
    const width = outputWidth(this.options);
    const projected = this.conv.forward(x); // [N, R O, H', W']
    const u = relu(this.bn0?.forward(projected) ?? projected);
    const splits = Array.from({ length: radix }, (_, r) => channelsOf(u, r, width)); // [N, O, H', W'] each
    const attention = this.#attention(splits.reduce((total, split) => add(total, split))); // [N, R O, 1, 1]
    this.tap("attention", reshape(attention, { shape: [-1, radix, width, 1, 1] }));
    return splits
      .map((split, r) => mul(split, channelsOf(attention, r, width)))
      .reduce((total, split) => add(total, split));
  }

  /** Weights of the splits, one split after the other: [N, O, H', W'] -> [N, R O, 1, 1]. */
  #attention(u: Tensor): Tensor {
    const { groups, radix } = this.options;
    const width = outputWidth(this.options);
    const h = this.fc1.forward(mean(u, { axes: [2, 3] })); // [N, a, 1, 1]
    const logits = this.fc2.forward(relu(this.bn1?.forward(h) ?? h)); // [N, R O, 1, 1]
    if (radix === 1) return sigmoid(logits);
    // The groups of the convolution leave the logits of a cardinal group together.
    const grouped = reshape(logits, { shape: [-1, groups, radix, width / groups] }); // [N, G, R, O / G]
    const weights = transpose(softmax(grouped, { axis: 2 }), { perm: [0, 2, 1, 3] }); // [N, R, G, O / G]
    return reshape(weights, { shape: [-1, radix * width, 1, 1] });
  }
}

/** The split `index` of `width` channels. */
function channelsOf(x: Tensor, index: number, width: number): Tensor {
  return slice(x, { axes: [1], starts: [index * width], ends: [(index + 1) * width] });
}
