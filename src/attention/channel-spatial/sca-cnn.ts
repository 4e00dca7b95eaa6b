import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { orthogonal } from "../../nn/orthogonal.js";
import { constantValue, normal } from "../../nn/variables.js";
import { tanh } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { linear, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { mean } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, size } from "../options.js";

/** A linear layer as the authors initialize it: normal with deviation 0.01, orthogonal where it is square; no bias at first. */
function denseLayer(inFeatures: number, outFeatures: number, { bias }: { bias: boolean }): Linear {
  const initializer = inFeatures === outFeatures ? orthogonal(inFeatures) : normal(0.01);
  return new Linear({ inFeatures, outFeatures, bias, initializer, biasInitializer: constantValue(0) });
}

/** Additive attention over items, conditioned on a hidden state: softmax of a^T tanh(W item + U hidden). */
class ConditionedAttention extends Module {
  readonly feature: Linear;
  readonly hidden: Linear;
  readonly score: Linear;

  constructor({ features, hidden, size }: { features: number; hidden: number; size: number }) {
    super();
    this.feature = denseLayer(features, size, { bias: true });
    this.hidden = denseLayer(hidden, size, { bias: false });
    this.score = denseLayer(size, 1, { bias: true });
  }

  /** @param items [N, L, features]  @param hidden [N, D]  @returns weights [N, L] that sum to one */
  forward(items: Tensor, hidden: Tensor): Tensor {
    const { weight, bias } = this.feature;
    const state = add(this.hidden.forward(hidden), bias!); // [N, K], with the bias of both
    const joint = add(linear(items, weight), reshape(state, { shape: [-1, 1, state.size(1)] }));
    const scores = this.score.forward(tanh(joint)); // [N, L, 1]
    return softmax(reshape(scores, { shape: [-1, items.size(1)] }), { axis: 1 });
  }
}

/**
 * Spatial and channel-wise attention of an image captioner: both depend on the decoder's hidden state.
 * Chen, Zhang, Xiao, Nie, Shao, Liu, Chua: SCA-CNN, CVPR 2017, arXiv:1611.05594, sections 3.2 and 3.3.
 * As in the authors' code the weights are multiplied by the number of channels and pixels (`rescale`), so that uniform attention
 * changes nothing; the paper's formulas are `rescale: false`.
 */
export class ScaCnn extends mechanism({
  id: "sca-cnn",
  name: "Spatial and Channel-wise Attention",
  family: "channel-spatial",
  year: 2017,
  paper:
    "Chen, Zhang, Xiao, Nie, Shao, Liu, Chua: SCA-CNN: Spatial and Channel-wise Attention in Convolutional Networks for Image Captioning, CVPR 2017",
  arxiv: "1611.05594",
  formula: String.raw`\beta = \mathrm{softmax}_c\!\left(a_c^\top\tanh(w_c \otimes \mathrm{GAP}(\mathbf{x}) + U_c\mathbf{q})\right),\quad \alpha = \mathrm{softmax}_l\!\left(a_s^\top\tanh(W_s\,\beta\mathbf{x} + U_s\mathbf{q})\right),\quad \mathbf{y} = \alpha\beta\mathbf{x}`,
  options: z.strictObject({
    channels: size,
    hiddenSize: size,
    attentionSize: z._default(size, 512),
    order: z._default(z.enum(["channel-spatial", "spatial-channel"]), "channel-spatial"),
    rescale: flag(true),
  }),
  maps: ({ channels }) => ({
    channel: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1], sumsToOne: [1] },
    spatial: {
      kind: "spatial",
      shape: ["batch", 1, "height", "width"],
      range: [0, 1],
      sumsToOne: [2, 3],
    },
  }),
  calls: ({ channels, hiddenSize }) => {
    const image = ["batch", channels, "height", "width"];
    return {
      forward: {
        inputs: { x: { shape: image }, hidden: { shape: ["batch", hiddenSize] } },
        outputs: { y: image },
      },
    };
  },
  parameters: ({ channels: c, hiddenSize: d, attentionSize: k }) =>
    2 * k + k * d + k + 1 + (k * c + k + k * d + k + 1),
  macs: ({ channels: c, hiddenSize: d, attentionSize: k }, { batch = 1, height = 1, width = 1 }) =>
    batch * (k * c * height * width + 2 * k * d + k * (2 * c + height * width)),
  refused: [{ channels: 0 }, { hiddenSize: 0 }, { attentionSize: 0 }, { order: "parallel" }],
  examples: [
    {
      options: { channels: 6, hiddenSize: 5, attentionSize: 4 },
      sizes: { batch: 2, height: 5, width: 7 },
    },
    {
      options: {
        channels: 4,
        hiddenSize: 4,
        attentionSize: 4,
        order: "spatial-channel",
        rescale: false,
      },
      sizes: { batch: 3, height: 3, width: 4 },
    },
  ],
}) {
  readonly channel: ConditionedAttention;
  readonly spatial: ConditionedAttention;

  constructor(options: Options<typeof ScaCnn>) {
    super(options);
    const { channels, hiddenSize: hidden, attentionSize } = this.options;
    this.channel = new ConditionedAttention({ features: 1, hidden, size: attentionSize });
    this.spatial = new ConditionedAttention({ features: channels, hidden, size: attentionSize });
  }

  /** @param x [N, C, H, W]  @param hidden [N, D]  @returns [N, C, H, W] */
  forward({ x, hidden }: { x: Tensor; hidden: Tensor }): Tensor {
    return this.options.order === "channel-spatial"
      ? this.#attendPixels(this.#attendChannels(x, hidden), hidden)
      : this.#attendChannels(this.#attendPixels(x, hidden), hidden);
  }

  /** Channels weighted by beta, from the mean of each; section 3.3. */
  #attendChannels(x: Tensor, hidden: Tensor): Tensor {
    const channels = x.size(1);
    const items = reshape(mean(x, { axes: [2, 3] }), { shape: [-1, channels, 1] }); // [N, C, 1]
    const weights = this.channel.forward(items, hidden); // [N, C]
    const beta = this.tap("channel", reshape(weights, { shape: [-1, channels, 1, 1] }));
    return this.#scale(x, beta, channels);
  }

  /** Pixels weighted by alpha; section 3.2. */
  #attendPixels(x: Tensor, hidden: Tensor): Tensor {
    const [channels, height, width] = [x.size(1), x.size(2), x.size(3)];
    const items = swapLast(reshape(x, { shape: [-1, channels, height * width] })); // [N, L, C]
    const weights = this.spatial.forward(items, hidden); // [N, L]
    const alpha = this.tap("spatial", reshape(weights, { shape: [-1, 1, height, width] }));
    return this.#scale(x, alpha, height * width);
  }

  #scale(x: Tensor, weights: Tensor, count: number): Tensor {
    return mul(x, this.options.rescale ? mul(weights, count) : weights);
  }
}
