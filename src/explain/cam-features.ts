import { OptionError } from "../base/errors.js";
import type { CamFeatures } from "./class-activation.js";
import { gridOfTokens, type Pass, probe } from "./probe.js";
import type { ExplainableModel, ExplainOptions } from "./types.js";

type TappedFeatures = [tap: string, features: CamFeatures];

/** The taps of a pass that class activation can look at: feature maps of several places, and tokens whose grid is known. */
export function camFeatures(pass: Pass, options: Pick<ExplainOptions, "grid">): TappedFeatures[] {
  return [...pass.taps].flatMap(([tap, tensor]): TappedFeatures[] => {
    if (tensor.dtype !== "float32") return [];
    if (tensor.rank === 4 && tensor.size(2) * tensor.size(3) > 1) return [[tap, { tensor }]];
    const grid = tensor.rank === 3 ? gridOfTokens(tensor.size(1), pass, options) : undefined;
    return grid?.frames === 1 ? [[tap, { tensor, grid }]] : [];
  });
}

/**
 * The last features of a pass that class activation can look at, those that the network names or else its last feature maps: of images that
 * are much smaller than those that a network was designed for, the last ones of all have no more than one place.
 */
export function lastCamFeatures(
  model: ExplainableModel,
  pass: Pass,
  options: Pick<ExplainOptions, "grid">,
): TappedFeatures | undefined {
  const usable = camFeatures(pass, options);
  if (model.lastFeatures === undefined) {
    // What a mechanism declares as its map weights features: it is none itself.
    const maps = new Set(pass.maps.map(({ tap }) => tap));
    return usable.findLast(([tap, { grid }]) => !grid && !maps.has(tap));
  }
  const named = [model.lastFeatures, ...Object.values(model.features ?? {}).reverse()];
  return named.map((name) => usable.find(([tap]) => tap === name)).find((found) => found !== undefined);
}

/**
 * Tap of the last features where `gradCam` can look.
 * @param imageShape [C, H, W]
 * @throws OptionError for a network, or images, without such features
 */
export function lastCamTap(model: ExplainableModel, imageShape: readonly number[]): string {
  const features = lastCamFeatures(model, probe(model, imageShape, {}), {});
  if (features) return features[0];
  throw new OptionError(`gradCam: no features of images [${imageShape.join(", ")}] have more than one place`);
}
