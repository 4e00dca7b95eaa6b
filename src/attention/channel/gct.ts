import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { constantValue, parameter } from "../../nn/variables.js";
import { tanh } from "../../ops/activation.js";
import { abs, add, div, mul, sqrt, square } from "../../ops/arithmetic.js";
import { mean, sum } from "../../ops/reduce.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, positive, size } from "../options.js";

/**
 * Gated channel transformation: channels compete or cooperate through their normalized norms; the identity at first.
 * Yang, Zhu, Wu, Yang: Gated Channel Transformation for Visual Recognition, CVPR 2020, arXiv:1909.11519, section 3: global context
 * embedding, channel normalization, gating adaptation.
 * As in the reference code, epsilon is added to the mean over the channels, where the paper adds it to their sum. `beta` is meant to
 * be trained without weight decay.
 */
export class GCT extends mechanism({
  id: "gct",
  name: "Gated Channel Transformation",
  family: "channel",
  year: 2020,
  paper: "Yang, Zhu, Wu, Yang: Gated Channel Transformation for Visual Recognition, CVPR 2020",
  arxiv: "1909.11519",
  formula: String.raw`\mathbf{y} = \mathbf{x}\left[1 + \tanh(\gamma\,\mathrm{CN}(\alpha\,\|\mathbf{x}\|) + \beta)\right]`,
  options: z.strictObject({
    channels: size,
    mode: z._default(z.enum(["l2", "l1"]), "l2"),
    epsilon: z._default(positive, 1e-5),
    afterRelu: flag(false),
  }),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 2] },
  }),
  parameters: ({ channels }) => 3 * channels,
  macs: () => 0,
  refused: [{ channels: 0 }, { mode: "l0" }, { epsilon: 0 }],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 6, mode: "l1", epsilon: 0.5 }, sizes: { batch: 3, height: 4, width: 4 } },
    { options: { channels: 6, mode: "l1", afterRelu: true }, sizes: { batch: 2, height: 4, width: 3 } },
  ],
}) {
  readonly alpha: Variable;
  readonly gamma: Variable;
  readonly beta: Variable;

  constructor(options: Options<typeof GCT>) {
    super(options);
    const shape = [1, this.options.channels, 1, 1];
    this.alpha = parameter(shape, constantValue(1));
    this.gamma = parameter(shape, constantValue(0));
    this.beta = parameter(shape, constantValue(0));
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const embedding = mul(this.#norm(x), this.alpha); // [N, C, 1, 1]
    const scale = div(this.gamma, this.#level(embedding)); // [N, C, 1, 1]  channel normalization
    const gate = add(tanh(add(mul(embedding, scale), this.beta)), 1);
    return mul(x, this.tap("attention", gate));
  }

  /** Norm of each channel, a sum over its pixels: [N, C, H, W] -> [N, C, 1, 1]. */
  #norm(x: Tensor): Tensor {
    const { mode, epsilon, afterRelu } = this.options;
    const axes = [2, 3];
    if (mode === "l2") return sqrt(add(sum(square(x), { axes }), epsilon));
    return sum(afterRelu ? x : abs(x), { axes });
  }

  /** What the embedding is measured against, its quadratic or absolute mean over the channels: [N, C, 1, 1] -> [N, 1, 1, 1]. */
  #level(embedding: Tensor): Tensor {
    const { mode, epsilon } = this.options;
    const axes = [1];
    if (mode === "l2") return sqrt(add(mean(square(embedding), { axes }), epsilon));
    return add(mean(abs(embedding), { axes }), epsilon);
  }
}
