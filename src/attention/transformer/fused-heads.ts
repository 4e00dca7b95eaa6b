import type { Tensor } from "../../graph/tensor.js";
import type { Initializer } from "../../graph/variable.js";
import { Dropout } from "../../nn/dropout.js";
import { LayerNorm } from "../../nn/layer-norm.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { sigmoid } from "../../ops/activation.js";
import { mul } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { slice } from "../../ops/shape.js";
import { additiveMask, attentionWeights, checkMask } from "../attention-weights.js";
import { joinHeads, splitHeads } from "./heads.js";
import type { Attended, MultiHeadInputs } from "./separate-heads.js";

/** Self-attention with one projection for query, key and value, as in timm's vision transformers. In bool masks true means visible. */
export class FusedHeads extends Module {
  readonly qkv: Linear;
  readonly qNorm?: LayerNorm;
  readonly kNorm?: LayerNorm;
  readonly norm?: LayerNorm;
  readonly gate?: Linear;
  readonly proj: Linear;
  readonly drop: Dropout;
  readonly projDrop: Dropout;
  readonly #heads: number;

  constructor(options: {
    readonly embedDim: number;
    readonly heads: number;
    readonly headDim: number;
    readonly dimOut: number;
    readonly qkvBias: boolean;
    readonly projBias: boolean;
    readonly qkNorm: boolean;
    readonly scaleNorm: boolean;
    readonly gated: boolean;
    readonly dropout: number;
    /** Added to the variance of the normalizations; 1e-6 by default. */
    readonly epsilon?: number;
    /** Initial weights of the projections, and biases; as in `Linear` by default. */
    readonly initializer?: Initializer;
    readonly biasInitializer?: Initializer;
  }) {
    super();
    const { embedDim: inFeatures, heads, headDim, epsilon = 1e-6 } = options;
    const { initializer, biasInitializer, qkvBias: bias } = options;
    const initial = { ...(initializer && { initializer }), ...(biasInitializer && { biasInitializer }) };
    const width = heads * headDim;
    this.qkv = new Linear({ ...initial, inFeatures, outFeatures: 3 * width, bias });
    if (options.qkNorm) {
      this.qNorm = new LayerNorm({ size: headDim, epsilon });
      this.kNorm = new LayerNorm({ size: headDim, epsilon });
    }
    if (options.scaleNorm) this.norm = new LayerNorm({ size: width, epsilon });
    if (options.gated) this.gate = new Linear({ ...initial, inFeatures, outFeatures: width, bias });
    this.proj = new Linear({
      ...initial,
      inFeatures: width,
      outFeatures: options.dimOut,
      bias: options.projBias,
    });
    this.drop = new Dropout({ rate: options.dropout });
    this.projDrop = new Dropout({ rate: options.dropout });
    this.#heads = heads;
  }

  attend({ query: x, mask }: MultiHeadInputs): Attended {
    const [q, k, v] = this.#project(x); // [N, h, L, d] each
    const query = this.qNorm?.forward(q) ?? q;
    const key = this.kNorm?.forward(k) ?? k;
    const scores = matmul(mul(query, q.size(3) ** -0.5), swapLast(key)); // [N, h, L, L]
    if (mask) checkMask("MultiHeadAttention.forward", mask, scores.shape);
    const attention = attentionWeights(scores, mask ? [additiveMask(mask, "visible")] : []);
    const joined = joinHeads(matmul(this.drop.forward(attention), v)); // [N, L, A]
    const z = this.norm?.forward(joined) ?? joined;
    const gated = this.gate ? mul(z, sigmoid(this.gate.forward(x))) : z;
    return { y: this.projDrop.forward(this.proj.forward(gated)), attention };
  }

  /** The columns of the projection: those of the query, the key, the value. */
  #project(x: Tensor): [q: Tensor, k: Tensor, v: Tensor] {
    const projected = this.qkv.forward(x); // [N, L, 3A]
    const width = projected.size(2) / 3;
    const part = (index: number) => {
      const columns = slice(projected, { axes: [2], starts: [index * width], ends: [(index + 1) * width] });
      return splitHeads(columns, this.#heads);
    };
    return [part(0), part(1), part(2)];
  }
}
