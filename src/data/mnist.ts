import { DataError } from "../base/errors.js";
import { type IdxArray, readIdx } from "../formats/idx.js";
import { MemoryDataset } from "./dataset.js";
import { namedNormalization } from "./normalization.js";

/** The two IDX files of one part of MNIST, or of a data set in its form. */
export interface MnistFiles {
  /** Bytes of the images, uint8 [N, H, W]. */
  readonly images: Uint8Array;
  /** Bytes of the labels, uint8 [N]. */
  readonly labels: Uint8Array;
}

/**
 * Handwritten digits, 1 x 28 x 28, from the bytes of their IDX files
 * (LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998).
 * @param name shown in errors, such as "MNIST train"
 * @throws FormatError where a file is not IDX; DataError where the two do not belong together
 */
export function parseMnist(name: string, files: MnistFiles): MemoryDataset {
  const images = readPart(`${name} images`, files.images, 3);
  const labels = readPart(`${name} labels`, files.labels, 1);
  const [count, height, width] = images.shape as [number, number, number];
  if (count !== labels.data.length) {
    throw new DataError(`${name}: ${count} images, but ${labels.data.length} labels`);
  }
  return new MemoryDataset({
    name,
    classes: Array.from({ length: 10 }, (_, digit) => String(digit)),
    imageShape: [1, height, width],
    normalization: namedNormalization("mnist"),
    images: images.data,
    labels: labels.data,
  });
}

function readPart(source: string, bytes: Uint8Array, rank: number): IdxArray & { readonly data: Uint8Array } {
  const { shape, data } = readIdx(bytes, { source });
  if (shape.length !== rank || !(data instanceof Uint8Array)) {
    throw new DataError(
      `${source}: expected uint8 of ${rank} dimensions, found ${data.constructor.name} [${shape}]`,
    );
  }
  return { shape, data };
}
