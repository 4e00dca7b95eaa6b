import * as z from "zod/mini";
import type { CallSignature } from "../mechanism.js";
import { dropRate, flag, optional, size } from "../options.js";

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

/** Options of multi-head attention. */
export const multiHeadOptions = z
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

export type MultiHeadOptions = z.output<typeof multiHeadOptions>;

/** Options with the widths that follow from others. */
export function multiHeadWidths(o: MultiHeadOptions) {
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
export function extraKeys({ addBiasKv, addZeroAttn }: MultiHeadOptions): number {
  return Number(addBiasKv) + Number(addZeroAttn);
}

/** Inputs and outputs of the form with a projection each. */
export function separateSignature(o: MultiHeadOptions): CallSignature {
  const { embedDim, keyDim, valueDim } = multiHeadWidths(o);
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

/** Inputs and outputs of the form with one projection. */
export function fusedSignature(o: MultiHeadOptions): CallSignature {
  return {
    inputs: {
      query: { shape: ["batch", "length", o.embedDim] },
      mask: { shape: ["..."], dtype: "bool", otherDType: "float32", optional: true },
    },
    outputs: { y: ["batch", "length", multiHeadWidths(o).dimOut] },
  };
}

/** Values of the form with a projection each. */
export function separateParameters(o: MultiHeadOptions): number {
  const { embedDim: e, keyDim, valueDim } = multiHeadWidths(o);
  return 2 * e * e + e * keyDim + e * valueDim + (o.bias ? 4 * e : 0) + (o.addBiasKv ? 2 * e : 0);
}

/** Values of the form with one projection. */
export function fusedParameters(o: MultiHeadOptions): number {
  const { embedDim: d, innerDim: a, headDim, dimOut } = multiHeadWidths(o);
  const projections = 3 * a * d + (o.qkvBias ? 3 * a : 0) + a * dimOut + (o.projBias ? dimOut : 0);
  const norms = (o.qkNorm ? 4 * headDim : 0) + (o.scaleNorm ? 2 * a : 0);
  return projections + norms + (o.gated ? a * d + (o.qkvBias ? a : 0) : 0);
}
