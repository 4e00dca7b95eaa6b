import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { Module } from "../../nn/module.js";
import { add, div, mul, sqrt, square } from "../../ops/arithmetic.js";
import { oneHot } from "../../ops/compare.js";
import { conv } from "../../ops/conv.js";
import { softmax } from "../../ops/normalize.js";
import { argMax, mean, sum } from "../../ops/reduce.js";
import { concat, reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";

/** Sharpness of a softmax over pixels; "max" takes the largest score alone. */
type Temperature = number | "max";

/** Temperatures of the heads, by their number. */
const headTemperatures: Readonly<Record<number, readonly Temperature[]>> = {
  1: [1],
  2: [1, "max"],
  4: [1, 2, 4, "max"],
  6: [1, 2, 3, 4, 5, "max"],
  8: [1, 2, 3, 4, 5, 6, 7, "max"],
};

interface HeadOptions {
  readonly channels: number;
  readonly numClasses: number;
  readonly temperature: Temperature;
  readonly lambda: number;
  readonly normalize: boolean;
}

/** One head: scores of each class at each pixel, their mean, and their mean where the class is seen. */
class Head extends Module {
  readonly head: Conv2d;
  readonly #options: HeadOptions;

  constructor(options: HeadOptions) {
    super();
    const { channels, numClasses } = options;
    this.head = new Conv2d({ inChannels: channels, outChannels: numClasses, kernel: 1, bias: false });
    this.#options = options;
  }

  /** @param x [N, C, H, W]  @returns logits [N, K] and attention [N, 1, K, H, W] */
  classify(x: Tensor): { logits: Tensor; attention: Tensor } {
    const { numClasses, lambda } = this.#options;
    const [height, width] = [x.size(2), x.size(3)];
    const scores = reshape(this.#scores(x), { shape: [-1, numClasses, height * width] }); // [N, K, L]
    const attention = this.#attend(scores); // [N, K, L]
    const base = mean(scores, { axes: [2], keepDims: false }); // [N, K]
    const attended = sum(mul(scores, attention), { axes: [2], keepDims: false }); // [N, K]
    return {
      logits: add(base, mul(attended, lambda)),
      attention: reshape(attention, { shape: [-1, 1, numClasses, height, width] }),
    };
  }

  /** Products with the classes' weights, of length 1 where they are normalized: [N, C, H, W] -> [N, K, H, W] */
  #scores(x: Tensor): Tensor {
    if (!this.#options.normalize) return this.head.forward(x);
    const { weight } = this.head;
    return conv(x, div(weight, sqrt(sum(square(weight), { axes: [1, 2, 3] }))));
  }

  #attend(scores: Tensor): Tensor {
    const { temperature } = this.#options;
    if (temperature !== "max") return softmax(mul(scores, temperature), { axis: 2 });
    return oneHot(argMax(scores, { axis: 2, keepDims: false }), { depth: scores.size(2) });
  }
}

/**
 * Class-specific residual attention, a classifier: each class scores every pixel; its logit is the mean score plus lambda times the
 * mean under a softmax of the scores themselves, summed over heads of different temperatures.
 * Zhu, Wu: Residual Attention: A Simple but Effective Method for Multi-Label Recognition, ICCV 2021, arXiv:2108.02456, section 3.
 * Of equal largest scores "max" takes the first.
 */
export class CSRA extends mechanism({
  id: "csra",
  name: "Class-Specific Residual Attention",
  family: "channel-spatial",
  year: 2021,
  paper: "Zhu, Wu: Residual Attention: A Simple but Effective Method for Multi-Label Recognition, ICCV 2021",
  arxiv: "2108.02456",
  formula: String.raw`y_k = \sum_{T}\left(\tfrac{1}{L}\sum_l s_{kl} + \lambda\sum_l s_{kl}\,\mathrm{softmax}_l(T\,s_{kl})\right),\quad s_{kl} = \frac{\mathbf{w}_k^\top\mathbf{x}_l}{\|\mathbf{w}_k\|}`,
  options: z
    .strictObject({
      channels: size,
      numClasses: size,
      heads: z._default(
        z.int().check(z.refine((heads) => heads in headTemperatures, "must be 1, 2, 4, 6 or 8")),
        1,
      ),
      temperature: optional(z.union([positive, z.literal("max")])),
      lambda: z._default(z.number(), 0.1),
      normalize: flag(true),
    })
    .check(
      z.refine((o) => o.heads === 1 || o.temperature == null, {
        error: "several heads have temperatures of their own",
        path: ["temperature"],
      }),
    ),
  maps: ({ numClasses, heads }) => ({
    attention: {
      kind: "spatial",
      shape: ["batch", heads, numClasses, "height", "width"],
      range: [0, 1],
      sumsToOne: [3, 4],
    },
  }),
  calls: ({ channels, numClasses }) => ({
    forward: {
      inputs: { x: { shape: ["batch", channels, "height", "width"] } },
      outputs: { y: ["batch", numClasses] },
    },
  }),
  parameters: ({ channels, numClasses, heads }) => heads * numClasses * channels,
  macs: ({ channels, numClasses, heads }, { batch = 1, height = 1, width = 1 }) =>
    batch * heads * numClasses * channels * height * width,
  refused: [
    { channels: 0 },
    { numClasses: 0 },
    { heads: 3 },
    { heads: 2, temperature: 1 },
    { temperature: 0 },
    { temperature: "min" },
    { lambda: Number.NaN },
  ],
  examples: [
    { options: { channels: 8, numClasses: 5 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 6, numClasses: 3, heads: 4, lambda: 0.5 },
      sizes: { batch: 3, height: 4, width: 4 },
    },
    {
      options: { channels: 6, numClasses: 4, temperature: "max", lambda: 0.2, normalize: false },
      sizes: { batch: 2, height: 3, width: 4 },
    },
  ],
  checkpoints: {
    "Kevinz-code/CSRA": { head: "multiHead.0.head" },
    "xmu-xiaoma666/External-Attention-pytorch": { fc: "multiHead.0.head" },
  },
}) {
  readonly multiHead: readonly Head[];

  constructor(options: Options<typeof CSRA>) {
    super(options);
    const { heads, temperature, ...head } = this.options;
    const temperatures = temperature == null ? headTemperatures[heads]! : [temperature];
    this.multiHead = temperatures.map((own) => new Head({ ...head, temperature: own }));
  }

  /** @param x [N, C, H, W]  @returns logits [N, K] */
  forward(x: Tensor): Tensor {
    const heads = this.multiHead.map((head) => head.classify(x));
    this.tap(
      "attention",
      concat(
        heads.map(({ attention }) => attention),
        { axis: 1 },
      ),
    );
    return heads.map(({ logits }) => logits).reduce((total, logits) => add(total, logits));
  }
}
