import type { CpuForms } from "../../ops/cpu-forms.js";
import { notedScale, scaleAndShift } from "./affine.js";
import { blockedAffine, blockedReduction, blockedScale, blockedShift, blockedUnshift } from "./channels.js";
import { blockedConv } from "./conv.js";
import { productForm, transposeForm } from "./exchanged-axes.js";
import { convOfFewChannels, filterGradientOfFewChannels, pointwiseOfFewFilters } from "./few-channels.js";
import {
  convOfFewPositions,
  filterGradientOfFewPositions,
  transposeOfFewPositions,
} from "./few-positions.js";
import { blockedDepthwiseGradient, blockedFilterGradient, groupedFilterGradient } from "./filter-gradient.js";
import { globalAverage } from "./global-average.js";
import { pairNode } from "./pair.js";
import { blockedStridedTranspose } from "./strided-transpose.js";

/** The forms of operators for ONNX Runtime's CPU: in its blocked layout, or as products, where that is faster. */
export const forms: CpuForms = {
  transpose: transposeForm,
  product: productForm,
  conv: (...call) =>
    convOfFewPositions(...call) ??
    pointwiseOfFewFilters(...call) ??
    convOfFewChannels(...call, "straight") ??
    blockedConv(...call, "straight"),
  convTranspose: (...call) => transposeOfFewPositions(...call) ?? blockedStridedTranspose(...call),
  mirroredConv: (...call) => convOfFewChannels(...call, "mirrored") ?? blockedConv(...call, "mirrored"),
  filterGradient: (...call) =>
    filterGradientOfFewPositions(...call) ??
    filterGradientOfFewChannels(...call) ??
    blockedFilterGradient(...call) ??
    groupedFilterGradient(...call) ??
    blockedDepthwiseGradient(...call),
  pair: pairNode,
  scale: (...call) => blockedScale(...call) ?? notedScale(...call),
  shift: (...call) => blockedShift(...call) ?? scaleAndShift(...call),
  unshift: blockedUnshift,
  affine: blockedAffine,
  reduction: (emit, operands, call, kind) =>
    blockedReduction(emit, operands, call, kind) ??
    (kind === "mean" ? globalAverage(emit, operands, call) : undefined),
};
