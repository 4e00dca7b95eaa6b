import type { CpuForms } from "../../ops/cpu-forms.js";
import { notedScale, scaleAndShift } from "./affine.js";
import {
  blockedAffine,
  blockedAverage,
  blockedReduction,
  blockedScale,
  blockedShift,
  blockedUnshift,
  blockedWindows,
} from "./channels.js";
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
import { channelBlock } from "./layout.js";
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
  // Its gradient reads plain images.
  pool: () => undefined,
  reduction: (emit, operands, call, kind) =>
    blockedReduction(emit, operands, call, kind) ??
    (kind === "mean" && channelBlock(emit.target) === 0 ? globalAverage(emit, operands, call) : undefined),
};

/** The forms where weights are constants and the model, all the same, chooses the layout itself (`onnx/cpu/suits-blocks.ts`). */
export const constantForms: CpuForms = {
  ...forms,
  conv: (...call) =>
    pointwiseOfFewFilters(...call) ??
    convOfFewChannels(...call, "straight") ??
    blockedConv(...call, "straight", { pointwise: true }),
  // ONNX Runtime arranges their constant filters when it loads them.
  mirroredConv: (...call) => convOfFewChannels(...call, "mirrored"),
  convTranspose: () => undefined,
  reduction: (emit, operands, call, kind) =>
    (kind === "mean" ? blockedAverage(emit, operands, call) : undefined) ??
    forms.reduction(emit, operands, call, kind),
  pool: blockedWindows,
};
