import * as z from "zod/mini";
import { ShapeError } from "../../base/errors.js";
import { constant } from "../../graph/constant.js";
import { formatShape, sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { Dropout } from "../../nn/dropout.js";
import { mul } from "../../ops/arithmetic.js";
import { greater, where } from "../../ops/compare.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { additiveMask, attentionWeights, checkMask } from "../attention-weights.js";
import { mechanism, type Options } from "../mechanism.js";
import { dropRate, flag, optional } from "../options.js";

/** Hides the keys after each query: 0 where j <= i, else -infinity, [L, S]. */
function causalMask(queries: number, keys: number): Tensor {
  const positions = (count: number) => Array.from({ length: count }, (_, index) => index);
  const [query, key] = [constant(positions(queries), { shape: [queries, 1] }), constant(positions(keys))];
  return where(greater(key, query), Number.NEGATIVE_INFINITY, 0);
}

/** What scaled dot-product attention takes. */
export interface AttentionInputs {
  /** [..., L, E] */
  readonly query: Tensor;
  /** [..., S, E] */
  readonly key: Tensor;
  /** [..., S, Ev] */
  readonly value: Tensor;
  /** Bool (true: may be attended) or float (added to the scores), broadcast to [..., L, S]. */
  readonly mask?: Tensor | undefined;
}

/**
 * Scaled dot-product attention: each query takes the mean of the values under a softmax of its products with the keys.
 * Vaswani et al.: Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762, eq. 1.
 * As in PyTorch, causal masks are aligned at the first query and key; unlike there, `causal` and a mask can be given together. A query
 * whose keys are all hidden gets 0.
 */
export class ScaledDotProductAttention extends mechanism({
  id: "sdpa",
  name: "Scaled Dot-Product Attention",
  family: "transformer",
  year: 2017,
  paper:
    "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: Attention Is All You Need, NeurIPS 2017",
  arxiv: "1706.03762",
  formula: String.raw`\mathbf{Y} = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{E}} + M\right)V`,
  options: z.strictObject({
    scale: optional(z.number()),
    causal: flag(false),
    dropout: z._default(dropRate, 0),
  }),
  maps: () => ({
    attention: { kind: "tokens", shape: ["...", "length", "keyLength"], range: [0, 1], sumsToOne: [-1] },
  }),
  calls: () => ({
    forward: {
      inputs: {
        query: { shape: ["...", "length", "dim"] },
        key: { shape: ["...", "keyLength", "dim"] },
        value: { shape: ["...", "keyLength", "valueDim"] },
        mask: { shape: ["..."], dtype: "bool", otherDType: "float32", optional: true },
      },
      outputs: { y: ["...", "length", "valueDim"] },
    },
  }),
  parameters: () => 0,
  macs: (_options, { batch = 1, heads = 1, length = 1, keyLength = 1, dim = 1, valueDim = 1 }) =>
    batch * heads * length * keyLength * (dim + valueDim),
  refused: [{ scale: Number.NaN }, { scale: Number.POSITIVE_INFINITY }, { dropout: 1 }, { dropout: -0.1 }],
  examples: [
    {
      options: {},
      sizes: { batch: 2, heads: 3, length: 5, keyLength: 7, dim: 4, valueDim: 6 },
      inputs: {
        query: { shape: ["batch", "heads", "length", "dim"] },
        key: { shape: ["batch", "heads", "keyLength", "dim"] },
        value: { shape: ["batch", "heads", "keyLength", "valueDim"] },
      },
    },
    {
      options: { causal: true, scale: 0.25, dropout: 0.2 },
      sizes: { batch: 2, length: 4, keyLength: 6, dim: 5, valueDim: 5 },
      inputs: {
        query: { shape: ["batch", "length", "dim"] },
        key: { shape: ["batch", "keyLength", "dim"] },
        value: { shape: ["batch", "keyLength", "valueDim"] },
        mask: { shape: ["length", "keyLength"], dtype: "float32" },
      },
    },
    {
      options: {},
      sizes: { batch: 2, heads: 2, length: 4, keyLength: 3, dim: 5, valueDim: 2 },
      inputs: {
        query: { shape: ["batch", "heads", "length", "dim"] },
        key: { shape: ["batch", "heads", "keyLength", "dim"] },
        value: { shape: ["batch", "heads", "keyLength", "valueDim"] },
        mask: {
          shape: ["batch", 1, 1, "keyLength"],
          values: ({ batch = 1, keyLength = 1 }) =>
            Array.from({ length: batch * keyLength }, (_, index) => Number(index % keyLength < 2)),
        },
      },
    },
  ],
}) {
  readonly drop: Dropout;

  constructor(options: Options<typeof ScaledDotProductAttention>) {
    super(options);
    this.drop = new Dropout({ rate: this.options.dropout });
  }

  /** @returns [..., L, Ev] */
  forward({ query, key, value, mask }: AttentionInputs): Tensor {
    checkLeadingAxes(query, { key, value });
    const { scale, causal } = this.options;
    const [length, keyLength] = [query.size(-2), key.size(-2)];
    const scores = mul(matmul(query, swapLast(key)), scale ?? query.size(-1) ** -0.5); // [..., L, S]
    if (mask) checkMask("ScaledDotProductAttention.forward", mask, scores.shape);
    const masks = [
      ...(causal ? [causalMask(length, keyLength)] : []),
      ...(mask ? [additiveMask(mask, "visible")] : []),
    ];
    const attention = this.tap("attention", attentionWeights(scores, masks)); // [..., L, S]
    return matmul(this.drop.forward(attention), value);
  }
}

/** A product would stretch axes that differ. */
function checkLeadingAxes(query: Tensor, others: Readonly<Record<string, Tensor>>): void {
  const leading = query.shape.slice(0, -2);
  for (const [name, { shape }] of Object.entries(others)) {
    if (sameShape(shape.slice(0, -2), leading)) continue;
    throw new ShapeError(
      `ScaledDotProductAttention.forward: input ${name} must have the leading axes ${formatShape(leading)} of query, found ${formatShape(shape)}`,
    );
  }
}
