import type { HostTensor } from "../../base/dtype.js";
import * as models from "../../models/registry.js";
import type { NetworkDescription } from "./description.js";
import { randomImages } from "./random-images.js";

/** Random images and classes in turn: one per image, or one per pixel for a network of segmentation. */
export function sampleBatch(
  { name, classes, preprocessing }: NetworkDescription,
  count: number,
): { readonly x: HostTensor; readonly y: HostTensor } {
  const [, height, width] = preprocessing.imageShape;
  const places = models.info(name).task === "segmentation" ? height * width : 1;
  const labels = BigInt64Array.from({ length: count * places }, (_, index) => BigInt(index % classes.length));
  return {
    x: randomImages([count, ...preprocessing.imageShape]),
    y: { dtype: "int64", shape: places === 1 ? [count] : [count, height, width], data: labels },
  };
}
