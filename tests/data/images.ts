import { type ImageShape, MemoryDataset } from "../../src/data/dataset.js";

/** A data set whose pixel j of image i is (31 i + 7 j) mod 256, and whose labels go round three classes. */
export function syntheticDataset(length: number, imageShape: ImageShape = [1, 4, 5]): MemoryDataset {
  const size = imageShape[0] * imageShape[1] * imageShape[2];
  return new MemoryDataset({
    name: "synthetic",
    classes: ["a", "b", "c"],
    imageShape,
    normalization: {
      mean: Array.from({ length: imageShape[0] }, (_, channel) => 0.25 + 0.1 * channel),
      std: Array.from({ length: imageShape[0] }, (_, channel) => 0.5 + 0.1 * channel),
    },
    images: Uint8Array.from({ length: length * size }, (_, k) => 31 * Math.floor(k / size) + 7 * (k % size)),
    labels: Uint8Array.from({ length }, (_, i) => i % 3),
  });
}
