import type { BlockedForms } from "../../ops/blocked-forms.js";
import { blockedAffine, blockedReduction, blockedScale, blockedShift, blockedUnshift } from "./channels.js";
import { blockedConv } from "./conv.js";
import { blockedDepthwiseGradient, blockedFilterGradient, groupedFilterGradient } from "./filter-gradient.js";
import { blockedStridedTranspose } from "./strided-transpose.js";

/** The forms of operators in ONNX Runtime's blocked layout. */
export const forms: BlockedForms = {
  conv: blockedConv,
  stridedTranspose: blockedStridedTranspose,
  filterGradient: (...call) =>
    blockedFilterGradient(...call) ?? groupedFilterGradient(...call) ?? blockedDepthwiseGradient(...call),
  scale: blockedScale,
  shift: blockedShift,
  unshift: blockedUnshift,
  affine: blockedAffine,
  reduction: blockedReduction,
};
