import type { HostTensor } from "../../base/dtype.js";
import type { ImageDataset } from "../../data/dataset.js";
import { Loader } from "../../data/loader.js";

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
    const predicted = highestPerRow(await logitsOf({ dtype: "float32", shape, data: x }));
    for (const [row, index] of indices.entries()) predictions[index] = predicted[row]!;
  }
  return predictions;
}

/** Share of the images whose predicted class is their label. */
export function accuracyOf(dataset: ImageDataset, predictions: readonly number[]): number {
  const right = predictions.filter((prediction, index) => prediction === dataset.label(index)).length;
  return right / predictions.length;
}

/** Index of the first maximum of each row of a matrix. */
function highestPerRow({ data, shape }: HostTensor): number[] {
  const [rows, columns] = [shape[0]!, shape[1]!];
  return Array.from({ length: rows }, (_, row) => {
    let best = 0;
    for (let column = 1; column < columns; column++) {
      if (data[row * columns + column]! > data[row * columns + best]!) best = column;
    }
    return best;
  });
}
