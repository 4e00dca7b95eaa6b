import { BrokenImageError, type ImageDataset } from "./dataset.js";

/** An image as evaluation sees it. */
export interface ReadImage {
  /** Its index in the data set. */
  readonly index: number;
  readonly pixels: Uint8Array;
}

/**
 * Some images of a data set in the order of their indices, so many of the next ones decoded ahead; broken ones are left out where the
 * data set skips them.
 * @throws BrokenImageError where it does not
 */
export async function* readAhead(
  dataset: ImageDataset,
  indices: ArrayLike<number>,
  ahead: number,
): AsyncGenerator<ReadImage, void, undefined> {
  const begun: (Uint8Array | Promise<Uint8Array>)[] = [];
  let next = 0;
  for (let i = 0; i < indices.length; i++) {
    for (; next < Math.min(indices.length, i + ahead); next++) {
      const pixels = dataset.pixels(indices[next]!);
      // Handled in its turn.
      if (!(pixels instanceof Uint8Array)) pixels.catch(() => {});
      begun.push(pixels);
    }
    const started = begun.shift()!;
    const pixels = started instanceof Uint8Array ? started : await unlessBroken(dataset, started);
    if (pixels) yield { index: indices[i]!, pixels };
  }
}

/** The pixels; undefined for a broken image where the data set skips them. */
export async function unlessBroken(
  { onError }: ImageDataset,
  pixels: Promise<Uint8Array>,
): Promise<Uint8Array | undefined> {
  try {
    return await pixels;
  } catch (error) {
    if (error instanceof BrokenImageError && onError === "skip") return undefined;
    throw error;
  }
}
