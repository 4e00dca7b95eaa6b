import type { CamFeatures } from "./class-activation.js";
import { gridOfTokens, type Pass } from "./probe.js";
import type { ExplainOptions } from "./types.js";

/** The taps of a pass that class activation can look at: feature maps of several places, and tokens whose grid is known. */
export function camFeatures(
  pass: Pass,
  options: Pick<ExplainOptions, "grid">,
): [tap: string, features: CamFeatures][] {
  return [...pass.taps].flatMap(([tap, tensor]): [string, CamFeatures][] => {
    if (tensor.dtype !== "float32") return [];
    if (tensor.rank === 4 && tensor.size(2) * tensor.size(3) > 1) return [[tap, { tensor }]];
    const grid = tensor.rank === 3 ? gridOfTokens(tensor.size(1), pass, options) : undefined;
    return grid?.frames === 1 ? [[tap, { tensor, grid }]] : [];
  });
}
