import { trace } from "../../graph/model.js";
import type { Shape } from "../../graph/size.js";
import type { ImageModel } from "../../models/image-model.js";

/**
 * Tap of a network's last features that have more than one place in images of a shape, where Grad-CAM looks: of images that are much smaller
 * than those that the network was designed for, the last ones of all have none.
 * @param imageShape [C, H, W]
 */
export function lastPlaces(model: ImageModel, imageShape: readonly number[]): string {
  const { taps } = trace(model, { shape: [1, ...imageShape] });
  const candidates = [model.lastFeatures, ...Object.values(model.features).reverse()];
  return candidates.find((tap) => placesIn(taps.get(tap)?.shape ?? []) > 1) ?? model.lastFeatures;
}

/** Pixels of feature maps [N, C, H, W], or tokens [N, T, D]. */
function placesIn(shape: Shape): number {
  const places = shape.length === 3 ? shape.slice(1, 2) : shape.slice(2);
  return places.reduce<number>((count, size) => count * Number(size), 1);
}
