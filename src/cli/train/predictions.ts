import type { HostTensor } from "../../base/dtype.js";
import type { ImageDataset } from "../../data/dataset.js";
import { Loader } from "../../data/loader.js";
import { highestScore, rowOf } from "../../explain/scores.js";

/** Class scores [N, classes] of normalized images [N, C, H, W]. */
export type Logits = (images: HostTensor) => Promise<HostTensor>;

/** The predicted class of every image of a data set, all of which can be read, in its order. */
export async function predictAll(
  dataset: ImageDataset,
  batchSize: number,
  logitsOf: Logits,
): Promise<number[]> {
  const predictions: number[] = [];
  for await (const { x, indices } of new Loader(dataset, { batchSize }).sequential()) {
    const shape = [indices.length, ...dataset.imageShape];
    const logits = await logitsOf({ dtype: "float32", shape, data: x });
    for (const [row, index] of indices.entries()) predictions[index] = highestScore(rowOf(logits, row));
  }
  return predictions;
}

/** Share of the images whose predicted class is their label. */
export function accuracyOf(dataset: ImageDataset, predictions: readonly number[]): number {
  const right = predictions.filter((prediction, index) => prediction === dataset.label(index)).length;
  return right / predictions.length;
}
