import { DataError } from "../base/errors.js";
import { type ImageDataset, selectImages } from "./dataset.js";
import { readAhead } from "./read-ahead.js";

/** Images that are decoded at once. */
const ahead = 32;

/**
 * The images of a data set that can be read, found by decoding each once; all of them where the data set does not skip broken ones.
 * Results of an evaluation, one an image, then belong to its images in order.
 * @throws DataError where no image can be read
 */
export async function readableImages(dataset: ImageDataset): Promise<ImageDataset> {
  if (dataset.onError !== "skip") return dataset;
  const all = Array.from({ length: dataset.length }, (_, index) => index);
  const readable: number[] = [];
  for await (const { index } of readAhead(dataset, all, ahead)) readable.push(index);
  if (readable.length === 0) {
    throw new DataError(`${dataset.name}: none of the ${dataset.length} images can be read`);
  }
  return readable.length === dataset.length ? dataset : selectImages(dataset, readable);
}
