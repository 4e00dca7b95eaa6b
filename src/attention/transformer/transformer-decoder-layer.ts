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

/** What a decoder layer takes; in bool masks true means hidden, float ones are added to the scores. */
export interface DecoderInputs {
  /** [N, L, E] */
  readonly x: Tensor;
  /** [N, S, E] */
  readonly memory: Tensor;
  /** [L, L] or [N*heads, L, L] */
  readonly mask?: Tensor | undefined;
  /** [L, S] or [N*heads, L, S] */
  readonly memoryMask?: Tensor | undefined;
  /** Bool [N, L] */
  readonly keyPaddingMask?: Tensor | undefined;
  /** Bool [N, S] */
  readonly memoryKeyPaddingMask?: Tensor | undefined;
}

/**
 * Layer of a transformer's decoder: self-attention, attention to a memory, then a feed-forward network of each token, all beside the
 * identity. Vaswani et al.: Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762, section 3.1.
 * As in PyTorch, the memory is not normalized here, and later tokens are hidden only by a mask.
 */
export class TransformerDecoderLayer extends mechanism({
  id: "transformer-decoder-layer",
  name: "Transformer Decoder Layer",
  family: "transformer",
  year: 2017,
  paper:
    "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: Attention Is All You Need, NeurIPS 2017",
  arxiv: "1706.03762",
  formula: String.raw`\mathbf{z} = \mathrm{LN}(\mathbf{x} + \mathrm{MHA}(\mathbf{x})),\quad \mathbf{u} = \mathrm{LN}(\mathbf{z} + \mathrm{MHA}(\mathbf{z}, \mathbf{m}, \mathbf{m})),\quad \mathbf{y} = \mathrm{LN}(\mathbf{u} + W_2\,\delta(W_1\mathbf{u}))`,
  options: layerOptions,
  maps: ({ heads }) => ({
    selfAttention: {
      kind: "tokens",
      shape: ["batch", heads, "length", "length"],
      range: [0, 1],
      sumsToOne: [3],
      tap: "selfAttn.attention",
    },
    crossAttention: {
      kind: "tokens",
      shape: ["batch", heads, "length", "memoryLength"],
      range: [0, 1],
      sumsToOne: [3],
      tap: "multiheadAttn.attention",
    },
  }),
  calls: ({ embedDim }) => {
    const mask = { dtype: "bool", otherDType: "float32", optional: true } as const;
    const padding = { dtype: "bool", optional: true } as const;
    return {
      forward: {
        inputs: {
          x: { shape: ["batch", "length", embedDim] },
          memory: { shape: ["batch", "memoryLength", embedDim] },
          mask: { ...mask, shape: ["...", "length", "length"] },
          memoryMask: { ...mask, shape: ["...", "length", "memoryLength"] },
          keyPaddingMask: { ...padding, shape: ["batch", "length"] },
          memoryKeyPaddingMask: { ...padding, shape: ["batch", "memoryLength"] },
        },
        outputs: { y: ["batch", "length", embedDim] },
      },
    };
  },
  parameters: (o) => 8 * o.embedDim ** 2 + 8 * o.embedDim + outerParameters(o, 3),
  macs: ({ embedDim: e, feedForwardDim: f }, { batch = 1, length = 1, memoryLength = 1 }) =>
    batch *
    (6 * length * e * e +
      2 * memoryLength * e * e +
      2 * length * (length + memoryLength) * e +
      2 * length * e * f),
  refused: refusedLayerOptions,
  examples: [
    {
      options: { embedDim: 8, heads: 2, feedForwardDim: 12 },
      sizes: { batch: 2, length: 4, memoryLength: 5 },
      inputs: {
        mask: {
          shape: ["length", "length"],
          values: ({ length = 1 }) =>
            Array.from({ length: length * length }, (_, index) =>
              Number(index % length > Math.floor(index / length)),
            ),
        },
        memoryKeyPaddingMask: {
          values: ({ batch = 1, memoryLength = 1 }) =>
            Array.from({ length: batch * memoryLength }, (_, index) => Number(index % memoryLength === 2)),
        },
      },
    },
    {
      options: { embedDim: 6, heads: 3, feedForwardDim: 5, activation: "gelu", normFirst: true, dropout: 0 },
      sizes: { batch: 2, length: 3, memoryLength: 4 },
      inputs: { memoryMask: { shape: ["length", "memoryLength"], dtype: "float32" } },
    },
  ],
}) {
  readonly selfAttn: MultiHeadAttention;
  readonly multiheadAttn: MultiHeadAttention;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly norm3: LayerNorm;
  readonly drop: Dropout;

  constructor(options: Options<typeof TransformerDecoderLayer>) {
    super(options);
    this.selfAttn = layerAttention(this.options);
    this.multiheadAttn = layerAttention(this.options);
    const { linear1, linear2, drop } = feedForwardParts(this.options);
    this.linear1 = linear1;
    this.linear2 = linear2;
    this.norm1 = layerNormalization(this.options);
    this.norm2 = layerNormalization(this.options);
    this.norm3 = layerNormalization(this.options);
    this.drop = drop;
  }

  /** @returns [N, L, E] */
  forward({ x, memory, mask, memoryMask, keyPaddingMask, memoryKeyPaddingMask }: DecoderInputs): Tensor {
    const { options, drop, norm1, norm2, norm3 } = this;
    const own = residual(x, { norm: norm1, options, drop }, (query) =>
      this.selfAttn.forward({ query, mask, keyPaddingMask }),
    );
    const crossed = residual(own, { norm: norm2, options, drop }, (query) =>
      this.multiheadAttn.forward({
        query,
        key: memory,
        mask: memoryMask,
        keyPaddingMask: memoryKeyPaddingMask,
      }),
    );
    return residual(crossed, { norm: norm3, options, drop }, (z) => feedForward(z, this));
  }
}
