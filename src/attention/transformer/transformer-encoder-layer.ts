import type { Tensor } from "../../graph/tensor.js";
import type { Dropout } from "../../nn/dropout.js";
import type { LayerNorm } from "../../nn/layer-norm.js";
import type { Linear } from "../../nn/linear.js";
import { mechanism, type Options } from "../mechanism.js";
import {
  feedForward,
  feedForwardParts,
  layerAttention,
  layerNormalization,
  layerOptions,
  outerParameters,
  refusedLayerOptions,
  residual,
} from "./layer-parts.js";
import type { MultiHeadAttention } from "./mha.js";

/**
 * Layer of a transformer's encoder: self-attention, then a feed-forward network of each token, both beside the identity.
 * Vaswani et al.: Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762, section 3.1; `normFirst`: Xiong et al.: On Layer
 * Normalization in the Transformer Architecture, ICML 2020, arXiv:2002.04745. As in PyTorch, a bool mask's true hides, and a stack of
 * layers with the norm first needs a norm of its own after the last one. Padded tokens keep an output.
 */
export class TransformerEncoderLayer extends mechanism({
  id: "transformer-encoder-layer",
  name: "Transformer Encoder Layer",
  family: "transformer",
  year: 2017,
  paper:
    "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: Attention Is All You Need, NeurIPS 2017",
  arxiv: "1706.03762",
  formula: String.raw`\mathbf{z} = \mathrm{LN}(\mathbf{x} + \mathrm{MHA}(\mathbf{x})),\quad \mathbf{y} = \mathrm{LN}(\mathbf{z} + W_2\,\delta(W_1\mathbf{z}))`,
  options: layerOptions,
  maps: ({ heads }) => ({
    attention: {
      kind: "tokens",
      shape: ["batch", heads, "length", "length"],
      range: [0, 1],
      sumsToOne: [3],
      tap: "selfAttn.attention",
    },
  }),
  calls: ({ embedDim }) => ({
    forward: {
      inputs: {
        x: { shape: ["batch", "length", embedDim] },
        mask: {
          shape: ["...", "length", "length"],
          dtype: "bool",
          otherDType: "float32",
          optional: true,
        },
        keyPaddingMask: { shape: ["batch", "length"], dtype: "bool", optional: true },
      },
      outputs: { y: ["batch", "length", embedDim] },
    },
  }),
  parameters: (o) => 4 * o.embedDim ** 2 + 4 * o.embedDim + outerParameters(o, 2),
  macs: ({ embedDim: e, feedForwardDim: f }, { batch = 1, length = 1 }) =>
    batch * (4 * length * e * e + 2 * length ** 2 * e + 2 * length * e * f),
  refused: refusedLayerOptions,
  examples: [
    {
      options: { embedDim: 8, heads: 2, feedForwardDim: 12 },
      sizes: { batch: 2, length: 5 },
      inputs: {
        keyPaddingMask: {
          values: ({ batch = 1, length = 1 }) =>
            Array.from({ length: batch * length }, (_, index) => Number(index % length === 3)),
        },
      },
    },
    {
      options: { embedDim: 6, heads: 3, feedForwardDim: 5, activation: "gelu", normFirst: true, dropout: 0 },
      sizes: { batch: 2, length: 4 },
      inputs: { mask: { shape: ["batch*3", "length", "length"], dtype: "float32" } },
    },
  ],
}) {
  readonly selfAttn: MultiHeadAttention;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly drop: Dropout;

  constructor(options: Options<typeof TransformerEncoderLayer>) {
    super(options);
    this.selfAttn = layerAttention(this.options);
    const { linear1, linear2, drop } = feedForwardParts(this.options);
    this.linear1 = linear1;
    this.linear2 = linear2;
    this.norm1 = layerNormalization(this.options);
    this.norm2 = layerNormalization(this.options);
    this.drop = drop;
  }

  /** @returns [N, L, E] */
  forward(inputs: {
    /** [N, L, E] */
    readonly x: Tensor;
    /** Bool (true: hidden) or float (added to the scores): [L, L] or [N*heads, L, L]. */
    readonly mask?: Tensor | undefined;
    /** Bool [N, L], true: hidden. */
    readonly keyPaddingMask?: Tensor | undefined;
  }): Tensor {
    const { x, mask, keyPaddingMask } = inputs;
    const { options, drop, norm1, norm2 } = this;
    const attended = residual(x, { norm: norm1, options, drop }, (query) =>
      this.selfAttn.forward({ query, mask, keyPaddingMask }),
    );
    return residual(attended, { norm: norm2, options, drop }, (z) => feedForward(z, this));
  }
}
