import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Linear } from "../../nn/linear.js";
import { tanh } from "../../ops/activation.js";
import { add, div, maximum, mul, sqrt, square } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { sum } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { additiveMask, attentionWeights, checkMask } from "../attention-weights.js";
import { transposed } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, size } from "../options.js";
import type { AttentionInputs } from "./sdpa.js";

const scores = ["dot", "scaledDot", "cosine", "additive", "general"] as const;

/** Each vector divided by its length, at least 1e-8. */
function unit(x: Tensor): Tensor {
  return div(x, sqrt(maximum(sum(square(x), { axes: [-1] }), 1e-16)));
}

/**
 * Attention with an exchangeable score of a query and a key: their product (dot, scaledDot), the cosine of their angle, a bilinear
 * form (general), or a small network (additive).
 * Additive: Bahdanau, Cho, Bengio: Neural Machine Translation by Jointly Learning to Align and Translate, ICLR 2015, arXiv:1409.0473.
 * Dot and general: Luong, Pham, Manning, EMNLP 2015, arXiv:1508.04025. Cosine, with the scale as key strength: Graves, Wayne,
 * Danihelka: Neural Turing Machines, 2014, arXiv:1410.5401. Scaled dot: Vaswani et al., NeurIPS 2017, arXiv:1706.03762.
 * A query whose keys are all hidden gets 0.
 */
export class QkvAttention extends mechanism({
  id: "qkv-attention",
  name: "Query-Key-Value Attention",
  family: "transformer",
  year: 2015,
  paper:
    "Luong, Pham, Manning: Effective Approaches to Attention-based Neural Machine Translation, EMNLP 2015",
  arxiv: "1508.04025",
  formula: String.raw`\mathbf{y}_i = \sum_j \mathrm{softmax}_j\!\left(\beta\, r(\mathbf{q}_i, \mathbf{k}_j) + m_{ij}\right)\mathbf{v}_j,\quad r \in \left\{\mathbf{q}^\top\mathbf{k},\ \tfrac{\mathbf{q}^\top\mathbf{k}}{\|\mathbf{q}\|\|\mathbf{k}\|},\ \mathbf{q}^\top W\mathbf{k},\ \mathbf{w}^\top\tanh(W_q\mathbf{q} + W_k\mathbf{k})\right\}`,
  options: z
    .strictObject({
      score: z._default(z.enum(scores), "scaledDot"),
      queryDim: size,
      keyDim: size,
      hiddenDim: optional(size),
      bias: flag(false),
      scale: optional(z.number()),
    })
    .check(
      z.refine((o) => o.score === "additive" || o.score === "general" || o.queryDim === o.keyDim, {
        error: "must be queryDim for the scores dot, scaledDot and cosine",
        path: ["keyDim"],
      }),
      z.refine((o) => (o.score === "additive") === (o.hiddenDim != null), {
        error: "must be given for the additive score, and for no other",
        path: ["hiddenDim"],
      }),
      z.refine((o) => o.score === "additive" || !o.bias, {
        error: "must be false unless the score is additive",
        path: ["bias"],
      }),
    ),
  maps: () => ({
    attention: { kind: "tokens", shape: ["batch", "length", "keyLength"], range: [0, 1], sumsToOne: [2] },
    scores: { kind: "tokens", shape: ["batch", "length", "keyLength"] },
  }),
  calls: ({ queryDim, keyDim }) => ({
    forward: {
      inputs: {
        query: { shape: ["batch", "length", queryDim] },
        key: { shape: ["batch", "keyLength", keyDim] },
        value: { shape: ["batch", "keyLength", "valueDim"] },
        mask: { shape: ["..."], dtype: "bool", otherDType: "float32", optional: true },
      },
      outputs: { y: ["batch", "length", "valueDim"] },
    },
  }),
  parameters: ({ score, queryDim: q, keyDim: k, hiddenDim, bias }) => {
    const h = hiddenDim ?? 0;
    return score === "general" ? q * k : h * (q + k + 1) + (bias ? h : 0);
  },
  macs: (
    { score, queryDim: q, keyDim: k, hiddenDim },
    { batch = 1, length = 1, keyLength = 1, valueDim = 1 },
  ) => {
    const h = hiddenDim ?? 0;
    const projections =
      score === "additive" ? (length * q + keyLength * k) * h : score === "general" ? keyLength * q * k : 0;
    return batch * (projections + length * keyLength * ((score === "additive" ? h : q) + valueDim));
  },
  refused: [
    { score: "sum" },
    { keyDim: 7 },
    { score: "dot", keyDim: 3 },
    { score: "cosine", keyDim: 3 },
    { hiddenDim: 4 },
    { score: "additive" },
    { score: "additive", hiddenDim: 0 },
    { score: "general", bias: true },
    { scale: Number.NaN },
    { queryDim: 0 },
  ],
  examples: [
    {
      options: { queryDim: 6, keyDim: 6 },
      sizes: { batch: 2, length: 4, keyLength: 5, valueDim: 3 },
    },
    {
      options: { score: "additive", queryDim: 4, keyDim: 3, hiddenDim: 5, bias: true },
      sizes: { batch: 2, length: 3, keyLength: 4, valueDim: 2 },
      inputs: {
        mask: {
          shape: ["batch", 1, "keyLength"],
          values: ({ batch = 1, keyLength = 1 }) =>
            Array.from({ length: batch * keyLength }, (_, index) => Number(index % keyLength !== 1)),
        },
      },
    },
    {
      options: { score: "general", queryDim: 4, keyDim: 3 },
      sizes: { batch: 2, length: 3, keyLength: 4, valueDim: 5 },
      inputs: { mask: { shape: ["length", "keyLength"], dtype: "float32" } },
    },
    {
      options: { score: "cosine", queryDim: 4, keyDim: 4, scale: 4 },
      sizes: { batch: 2, length: 3, keyLength: 4, valueDim: 5 },
    },
  ],
  checkpoints: {
    "d2l-ai/d2l-zh": { W_q: "queryProj", W_k: "keyProj", w_v: "scoreProj" },
    "OpenNMT/OpenNMT-py": {
      linear_query: "queryProj",
      linear_context: "keyProj",
      v: "scoreProj",
      "linear_in.weight": transposed("bilinear.weight"),
    },
  },
}) {
  readonly queryProj?: Linear;
  readonly keyProj?: Linear;
  readonly scoreProj?: Linear;
  readonly bilinear?: Linear;

  constructor(options: Options<typeof QkvAttention>) {
    super(options);
    const { score, queryDim, keyDim, hiddenDim, bias } = this.options;
    if (score === "additive") {
      const hidden = hiddenDim!;
      this.queryProj = new Linear({ inFeatures: queryDim, outFeatures: hidden, bias });
      this.keyProj = new Linear({ inFeatures: keyDim, outFeatures: hidden, bias: false });
      this.scoreProj = new Linear({ inFeatures: hidden, outFeatures: 1, bias: false });
    }
    if (score === "general") {
      this.bilinear = new Linear({ inFeatures: keyDim, outFeatures: queryDim, bias: false });
    }
  }

  /** @returns [N, L, Dv] */
  forward({ query, key, value, mask }: AttentionInputs): Tensor {
    const { score, queryDim, scale } = this.options;
    const raw = this.tap("scores", this.#score(query, key)); // [N, L, S]
    if (mask) checkMask("QkvAttention.forward", mask, raw.shape);
    const scaled = mul(raw, scale ?? (score === "scaledDot" ? queryDim ** -0.5 : 1));
    const masks = mask ? [additiveMask(mask, "visible")] : [];
    const attention = this.tap("attention", attentionWeights(scaled, masks)); // [N, L, S]
    return matmul(attention, value);
  }

  /** [N, L, Dq] and [N, S, Dk] -> [N, L, S] */
  #score(query: Tensor, key: Tensor): Tensor {
    switch (this.options.score) {
      case "cosine":
        return matmul(unit(query), swapLast(unit(key)));
      case "general":
        return matmul(query, swapLast(this.bilinear!.forward(key)));
      case "additive":
        return this.#additiveScore(query, key);
      default:
        return matmul(query, swapLast(key));
    }
  }

  #additiveScore(query: Tensor, key: Tensor): Tensor {
    const hidden = this.options.hiddenDim!;
    const [length, keyLength] = [query.size(1), key.size(1)];
    const q = reshape(this.queryProj!.forward(query), { shape: [-1, length, 1, hidden] });
    const k = reshape(this.keyProj!.forward(key), { shape: [-1, 1, keyLength, hidden] });
    const pairs = this.scoreProj!.forward(tanh(add(q, k))); // [N, L, S, 1]
    return reshape(pairs, { shape: [-1, length, keyLength] });
  }
}
