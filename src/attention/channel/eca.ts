import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv } from "../../nn/conv.js";
import { sigmoid } from "../../ops/activation.js";
import { mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { concat, reshape, slice } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, oddSize, optional, positive, size } from "../options.js";

/** Binary logarithm, exact for powers of two. */
function log2(value: number): number {
  const exponent = 31 - Math.clz32(value);
  return exponent + Math.log2(value / 2 ** exponent);
}

/** Kernel size k: as given, or the odd number at or above trunc(|log2 C + beta| / gamma), at least 3. */
function kernelWidth(options: {
  channels: number;
  kernelSize?: number | null | undefined;
  gamma: number;
  beta: number;
}): number {
  if (options.kernelSize) return options.kernelSize;
  const t = Math.trunc(Math.abs(log2(options.channels) + options.beta) / options.gamma);
  return Math.max(t % 2 === 1 ? t : t + 1, 3);
}

/** A sequence with its ends wrapped around, `count` values on each side: [N, 1, C] -> [N, 1, C + 2 count]. */
function wrapAround(sequence: Tensor, count: number): Tensor {
  if (count === 0) return sequence;
  const length = sequence.size(2);
  const head = slice(sequence, { axes: [2], starts: [0], ends: [count] });
  const tail = slice(sequence, { axes: [2], starts: [length - count], ends: [length] });
  return concat([tail, sequence, head], { axis: 2 });
}

/**
 * Efficient Channel Attention: each channel's gate sees its k neighbours through one shared 1-D convolution over the channels.
 * Wang, Wu, Zhu, Li, Zuo, Hu: ECA-Net, CVPR 2020, arXiv:1910.03151, section 3.
 * Deviations, as in timm: the adaptive kernel size is at least 3, and `circular` wraps the channels around. Unlike there, a given
 * kernel size wins over the adaptive one.
 */
export class ECA extends mechanism({
  id: "eca",
  name: "Efficient Channel Attention",
  family: "channel",
  year: 2020,
  paper:
    "Wang, Wu, Zhu, Li, Zuo, Hu: ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks, CVPR 2020",
  arxiv: "1910.03151",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(\mathrm{Conv1D}_k(\mathrm{GAP}(\mathbf{x}))\right),\quad k = \left|\tfrac{\log_2 C + \beta}{\gamma}\right|_{\mathrm{odd}}`,
  options: z
    .strictObject({
      channels: size,
      kernelSize: optional(oddSize),
      gamma: z._default(positive, 2),
      beta: z._default(z.number(), 1),
      circular: flag(false),
    })
    .check(
      z.refine((o) => !o.circular || (kernelWidth(o) - 1) / 2 <= o.channels, {
        error: "a circular kernel must reach at most all channels: (kernelSize - 1) / 2 <= channels",
        path: ["kernelSize"],
      }),
    ),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] },
  }),
  parameters: kernelWidth,
  macs: (options, { batch = 1 }) => batch * kernelWidth(options) * options.channels,
  refused: [
    { channels: 0 },
    { kernelSize: 0 },
    { kernelSize: 4 },
    { gamma: 0 },
    { beta: Number.NaN },
    { kernelSize: 101, circular: true },
  ],
  examples: [
    { options: { channels: 16 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 4, kernelSize: 9, circular: true }, sizes: { batch: 3, height: 4, width: 4 } },
    { options: { channels: 3, kernelSize: 11 }, sizes: { batch: 2, height: 3, width: 1 } },
  ],
}) {
  readonly conv: Conv;

  constructor(options: Options<typeof ECA>) {
    super(options);
    const kernel = kernelWidth(this.options);
    const padding = this.options.circular ? 0 : (kernel - 1) / 2;
    this.conv = new Conv({ inChannels: 1, outChannels: 1, kernel: [kernel], padding, bias: false });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const { channels, circular } = this.options;
    const z = reshape(mean(x, { axes: [2, 3] }), { shape: [-1, 1, channels] }); // [N, 1, C]
    const padded = circular ? wrapAround(z, (kernelWidth(this.options) - 1) / 2) : z;
    const e = reshape(this.conv.forward(padded), { shape: [-1, channels, 1, 1] });
    return mul(x, this.tap("attention", sigmoid(e))); // gate [N, C, 1, 1]
  }
}
