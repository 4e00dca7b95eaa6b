import type { Model } from "../../graph/model.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { stacked } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { FusedHeads } from "./fused-heads.js";
import { meanOverHeads } from "./heads.js";
import {
  extraKeys,
  fusedParameters,
  fusedSignature,
  multiHeadOptions,
  multiHeadWidths,
  separateParameters,
  separateSignature,
} from "./mha-options.js";
import { type MultiHeadInputs, SeparateHeads } from "./separate-heads.js";

/**
 * Multi-head attention: several scaled dot-product attentions side by side, each on a projection of its own.
 * Vaswani et al.: Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762, section 3.2.2; `qkvFused` is the form of vision
 * transformers (Dosovitskiy et al., ICLR 2021, arXiv:2010.11929, appendix A), with one projection for query, key and value.
 * As in the references, a bool mask's true hides a key in the first form and shows it in the second. A query whose keys are all hidden
 * takes nothing (PyTorch gives NaN).
 */
export class MultiHeadAttention extends mechanism({
  id: "mha",
  name: "Multi-Head Attention",
  family: "transformer",
  year: 2017,
  paper:
    "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: Attention Is All You Need, NeurIPS 2017",
  arxiv: "1706.03762",
  formula: String.raw`\mathbf{Y} = \left[H_1;\dots;H_h\right]W^O,\quad H_a = \mathrm{softmax}\!\left(\frac{QW^Q_a(KW^K_a)^\top}{\sqrt{d}}\right)VW^V_a`,
  options: multiHeadOptions,
  maps: (o) => {
    const keys = o.qkvFused ? "length" : `keyLength+${extraKeys(o)}`;
    const attention = {
      kind: "tokens",
      shape: ["batch", o.heads, "length", keys],
      range: [0, 1],
      sumsToOne: [3],
    } as const;
    const attentionMean = {
      kind: "tokens",
      shape: ["batch", "length", keys],
      range: [0, 1],
      sumsToOne: [2],
    } as const;
    // The first map is the one that is shown.
    return o.averageWeights ? { attentionMean, attention } : { attention, attentionMean };
  },
  calls: (o) => ({ forward: o.qkvFused ? fusedSignature(o) : separateSignature(o) }),
  parameters: (o) => (o.qkvFused ? fusedParameters(o) : separateParameters(o)),
  macs: (o, { batch = 1, length = 1, keyLength = 1 }) => {
    const { embedDim: e, innerDim: a, keyDim, valueDim, dimOut } = multiHeadWidths(o);
    if (o.qkvFused) {
      const gate = o.gated ? length * e * a : 0;
      return batch * (3 * length * e * a + 2 * length ** 2 * a + length * a * dimOut + gate);
    }
    const products = 2 * length * (keyLength + extraKeys(o)) * e;
    return batch * (2 * length * e * e + keyLength * e * (keyDim + valueDim) + products);
  },
  refused: [
    { embedDim: 0 },
    { heads: 0 },
    { heads: 5 },
    { keyDim: 0 },
    { valueDim: 0 },
    { qkvFused: true, keyDim: 8 },
    { qkvFused: true, valueDim: 8 },
    { qkvFused: true, addBiasKv: true },
    { qkvFused: true, addZeroAttn: true },
    { qkNorm: true },
    { scaleNorm: true },
    { gated: true },
    { attnHeadDim: 4 },
    { dimOut: 4 },
    { dropout: 1 },
  ],
  examples: [
    {
      options: { embedDim: 8, heads: 2 },
      sizes: { batch: 2, length: 5, keyLength: 5 },
    },
    {
      options: {
        embedDim: 6,
        heads: 3,
        keyDim: 4,
        valueDim: 5,
        addBiasKv: true,
        addZeroAttn: true,
        dropout: 0.2,
      },
      sizes: { batch: 2, length: 3, keyLength: 4 },
      inputs: {
        key: {},
        value: {},
        mask: { shape: ["batch*3", "length", "keyLength"] },
        keyPaddingMask: {},
      },
    },
    {
      options: { embedDim: 8, heads: 2, averageWeights: false, bias: false },
      sizes: { batch: 2, length: 3, keyLength: 4 },
      inputs: { key: {}, mask: { shape: ["length", "keyLength"], dtype: "float32" } },
    },
    {
      options: {
        embedDim: 6,
        heads: 4,
        qkvFused: true,
        qkvBias: true,
        qkNorm: true,
        scaleNorm: true,
        gated: true,
        attnHeadDim: 3,
        dimOut: 5,
      },
      sizes: { batch: 2, length: 5 },
      inputs: { mask: { shape: ["batch", 1, 1, "length"], dtype: "float32" } },
    },
  ],
  checkpoints: {
    "pytorch/pytorch": {
      in_proj_weight: stacked("queryProj.weight", "keyProj.weight", "valueProj.weight"),
      in_proj_bias: stacked("queryProj.bias", "keyProj.bias", "valueProj.bias"),
      q_proj_weight: "queryProj.weight",
      k_proj_weight: "keyProj.weight",
      v_proj_weight: "valueProj.weight",
    },
  },
}) {
  readonly #heads: SeparateHeads | FusedHeads;

  constructor(options: Options<typeof MultiHeadAttention>) {
    super(options);
    const widened = multiHeadWidths(this.options);
    this.#heads = this.options.qkvFused ? new FusedHeads(widened) : new SeparateHeads(widened);
  }

  /** The variables of the layout are its own: both references keep them there. */
  override *ownVariables(): Generator<readonly [string, Variable]> {
    yield* this.#heads.ownVariables();
  }

  override *ownParts(): Generator<readonly [string, Model]> {
    yield* this.#heads.ownParts();
  }

  /** @returns [N, L, E] */
  forward(inputs: MultiHeadInputs): Tensor {
    const { y, attention } = this.#heads.attend(inputs);
    this.tap("attention", attention); // [N, heads, L, S]
    this.tap("attentionMean", meanOverHeads(attention)); // [N, L, S]
    return y;
  }
}
