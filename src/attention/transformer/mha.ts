import * as z from "zod/mini";
import type { Model } from "../../graph/model.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { type CallSignature, mechanism, type Options } from "../mechanism.js";
import { dropRate, flag, optional, size } from "../options.js";
import { FusedHeads } from "./fused-heads.js";
import { meanOverHeads } from "./heads.js";
import { type MultiHeadInputs, SeparateHeads } from "./separate-heads.js";

type SeparateOption = "keyDim" | "valueDim" | "addBiasKv" | "addZeroAttn";
type FusedOption = "qkNorm" | "scaleNorm" | "gated" | "attnHeadDim" | "dimOut";
type LayoutOptions = { readonly qkvFused: boolean } & Partial<Record<SeparateOption | FusedOption, unknown>>;

/** Refuses an option of one layout with the other. */
function onlyWith(fused: boolean, name: SeparateOption | FusedOption) {
  return z.refine<LayoutOptions>((o) => o.qkvFused === fused || !o[name], {
    error: `must not be given ${fused ? "without" : "with"} qkvFused`,
    path: [name],
  });
}

const options = z
  .strictObject({
    embedDim: size,
    heads: size,
    qkvFused: flag(false),
    keyDim: optional(size),
    valueDim: optional(size),
    bias: flag(true),
    addBiasKv: flag(false),
    addZeroAttn: flag(false),
    averageWeights: flag(true),
    qkvBias: flag(false),
    projBias: flag(true),
    qkNorm: flag(false),
    scaleNorm: flag(false),
    gated: flag(false),
    attnHeadDim: optional(size),
    dimOut: optional(size),
    dropout: z._default(dropRate, 0),
  })
  .check(
    z.refine((o) => (o.qkvFused && o.attnHeadDim != null) || o.embedDim % o.heads === 0, {
      error: "must divide embedDim",
      path: ["heads"],
    }),
    onlyWith(false, "keyDim"),
    onlyWith(false, "valueDim"),
    onlyWith(false, "addBiasKv"),
    onlyWith(false, "addZeroAttn"),
    onlyWith(true, "qkNorm"),
    onlyWith(true, "scaleNorm"),
    onlyWith(true, "gated"),
    onlyWith(true, "attnHeadDim"),
    onlyWith(true, "dimOut"),
  );

type Parsed = z.output<typeof options>;

/** Options with the widths that follow from others. */
function widths(o: Parsed) {
  const headDim = o.attnHeadDim ?? o.embedDim / o.heads;
  return {
    ...o,
    keyDim: o.keyDim ?? o.embedDim,
    valueDim: o.valueDim ?? o.embedDim,
    headDim,
    innerDim: o.heads * headDim,
    dimOut: o.dimOut ?? o.embedDim,
  };
}

/** Rows that are appended to keys and values. */
function extraKeys({ addBiasKv, addZeroAttn }: Parsed): number {
  return Number(addBiasKv) + Number(addZeroAttn);
}

function separateSignature(o: Parsed): CallSignature {
  const { embedDim, keyDim, valueDim } = widths(o);
  return {
    inputs: {
      query: { shape: ["batch", "length", embedDim] },
      key: { shape: ["batch", "keyLength", keyDim], optional: keyDim === embedDim },
      value: { shape: ["batch", "keyLength", valueDim], optional: valueDim === keyDim },
      mask: {
        shape: ["...", "length", "keyLength"],
        dtype: "bool",
        otherDType: "float32",
        optional: true,
      },
      keyPaddingMask: { shape: ["batch", "keyLength"], dtype: "bool", optional: true },
    },
    outputs: { y: ["batch", "length", embedDim] },
  };
}

function fusedSignature(o: Parsed): CallSignature {
  return {
    inputs: {
      query: { shape: ["batch", "length", o.embedDim] },
      mask: { shape: ["..."], dtype: "bool", otherDType: "float32", optional: true },
    },
    outputs: { y: ["batch", "length", widths(o).dimOut] },
  };
}

function separateParameters(o: Parsed): number {
  const { embedDim: e, keyDim, valueDim } = widths(o);
  return 2 * e * e + e * keyDim + e * valueDim + (o.bias ? 4 * e : 0) + (o.addBiasKv ? 2 * e : 0);
}

function fusedParameters(o: Parsed): number {
  const { embedDim: d, innerDim: a, headDim, dimOut } = widths(o);
  const projections = 3 * a * d + (o.qkvBias ? 3 * a : 0) + a * dimOut + (o.projBias ? dimOut : 0);
  const norms = (o.qkNorm ? 4 * headDim : 0) + (o.scaleNorm ? 2 * a : 0);
  return projections + norms + (o.gated ? a * d + (o.qkvBias ? a : 0) : 0);
}

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
  options,
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
    const { embedDim: e, innerDim: a, keyDim, valueDim, dimOut } = widths(o);
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
}) {
  readonly #heads: SeparateHeads | FusedHeads;

  constructor(options: Options<typeof MultiHeadAttention>) {
    super(options);
    const widened = widths(this.options);
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
