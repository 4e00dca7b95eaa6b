import { checkInteger } from "../base/check.js";
import { elementCount } from "../base/dtype.js";
import { DataError } from "../base/errors.js";
import type { RandomKey } from "../base/random.js";
import { checkNormalization, type Normalization } from "./normalization.js";
import type { ImageResizing } from "./preprocessing.js";

/** Channels, height and width of an image. */
export type ImageShape = readonly [channels: number, height: number, width: number];

/** An image that cannot be read: a damaged, oversized or vanished file. */
export class BrokenImageError extends DataError {
  override name = "BrokenImageError";
}

/** Labelled images of one shape. Where they are kept, and when they are decoded, is the implementation's. */
export interface ImageDataset {
  /** Name to show, such as "MNIST train". */
  readonly name: string;
  /** Number of images. */
  readonly length: number;
  /** Name of each class; a label is an index of it. */
  readonly classes: readonly string[];
  readonly imageShape: ImageShape;
  /** What training data are normalized by. */
  readonly normalization: Normalization;
  /** How images of other sizes are brought to `imageShape` for evaluation, where they are. */
  readonly resizing?: ImageResizing;
  /** What a loader does about a `BrokenImageError`: hands it on (default), or goes on without the image. */
  readonly onError?: "fail" | "skip";
  /**
   * Pixels of an image as it is evaluated, [C, H, W] row-major, 0 to 255; not to be written to. Those that must be decoded come
   * later: a loader asks for many at once, and the data set bounds how many it works on.
   */
  pixels(index: number): Uint8Array | Promise<Uint8Array>;
  /**
   * Pixels of an image as it is trained on, where that differs: a random crop of the larger image, shaped and valued like `pixels`.
   * @param key what the crop is drawn from: equal keys, equal crops
   */
  trainingPixels?(index: number, key: RandomKey): Uint8Array | Promise<Uint8Array>;
  /** Class of an image. */
  label(index: number): number;
}

/** What an in-memory data set is made of. */
export interface MemoryDatasetOptions {
  readonly name: string;
  readonly classes: readonly string[];
  readonly imageShape: ImageShape;
  readonly normalization: Normalization;
  /** Pixels of all images, [N, C, H, W] row-major; used in place. */
  readonly images: Uint8Array;
  /** Classes of all images, [N]; used in place. */
  readonly labels: ArrayLike<number>;
}

/** A data set whose pixels are all in memory. */
export class MemoryDataset implements ImageDataset {
  readonly name: string;
  readonly length: number;
  readonly classes: readonly string[];
  readonly imageShape: ImageShape;
  readonly normalization: Normalization;
  readonly #images: Uint8Array;
  readonly #labels: ArrayLike<number>;
  readonly #imageSize: number;

  /** @throws DataError where images and labels differ in number or a label is no class; OptionError for the rest */
  constructor({ name, classes, imageShape, normalization, images, labels }: MemoryDatasetOptions) {
    for (const size of imageShape) checkInteger(name, "imageShape", size, { min: 1 });
    checkNormalization(name, normalization, imageShape[0]);
    this.#imageSize = elementCount(imageShape);
    const count = images.length / this.#imageSize;
    if (!Number.isInteger(count)) {
      throw new DataError(
        `${name}: ${images.length} pixels are not a whole number of [${imageShape}] images`,
      );
    }
    if (labels.length !== count) {
      throw new DataError(`${name}: ${count} images, but ${labels.length} labels`);
    }
    for (let i = 0; i < count; i++) {
      const label = labels[i]!;
      if (!(Number.isInteger(label) && label >= 0 && label < classes.length)) {
        throw new DataError(
          `${name}: the label of image ${i} is ${label}; the classes are 0 to ${classes.length - 1}`,
        );
      }
    }
    this.name = name;
    this.length = count;
    this.classes = classes;
    this.imageShape = imageShape;
    this.normalization = normalization;
    this.#images = images;
    this.#labels = labels;
  }

  pixels(index: number): Uint8Array {
    this.#checkIndex(index);
    return this.#images.subarray(index * this.#imageSize, (index + 1) * this.#imageSize);
  }

  label(index: number): number {
    this.#checkIndex(index);
    return this.#labels[index]!;
  }

  #checkIndex(index: number): void {
    if (!(Number.isInteger(index) && index >= 0 && index < this.length)) {
      throw new DataError(`${this.name}: no image ${index}; there are ${this.length}`);
    }
  }
}

/** The images `start` (included) to `end` (excluded) of a data set, as a data set. */
export function sliceDataset(dataset: ImageDataset, start: number, end: number): ImageDataset {
  checkInteger(dataset.name, "start", start, { max: dataset.length });
  checkInteger(dataset.name, "end", end, { min: start, max: dataset.length });
  return viewOf(dataset, { length: end - start, source: (index) => start + index });
}

/** Some images of a data set, in the order of their indices, as a data set. */
export function selectImages(dataset: ImageDataset, indices: readonly number[]): ImageDataset {
  return viewOf(dataset, { length: indices.length, source: (index) => indices[index]! });
}

/** A data set with another normalization. @throws OptionError where it does not fit the channels */
export function withNormalization(dataset: ImageDataset, normalization: Normalization): ImageDataset {
  checkNormalization(dataset.name, normalization, dataset.imageShape[0]);
  return viewOf(dataset, { normalization });
}

/** A data set whose images are always those of evaluation: without the random crops of training. */
export function forEvaluation(dataset: ImageDataset): ImageDataset {
  return viewOf(dataset, { training: false });
}

/** What a view shows otherwise than its data set does. */
interface View {
  readonly length?: number;
  /** The data set's index of the view's. */
  readonly source?: (index: number) => number;
  readonly normalization?: Normalization;
  /** Whether training has crops of its own, where the data set makes them. */
  readonly training?: boolean;
}

function viewOf(dataset: ImageDataset, view: View): ImageDataset {
  const { name, classes, imageShape, resizing, onError } = dataset;
  const { length = dataset.length, source = (index) => index, training = true } = view;
  const inside = (index: number) => {
    if (!(index >= 0 && index < length))
      throw new DataError(`${name}: no image ${index}; there are ${length}`);
    return source(index);
  };
  return {
    name,
    length,
    classes,
    imageShape,
    normalization: view.normalization ?? dataset.normalization,
    ...(resizing ? { resizing } : {}),
    ...(onError ? { onError } : {}),
    pixels: (index) => dataset.pixels(inside(index)),
    ...(training && dataset.trainingPixels
      ? { trainingPixels: (index: number, key: RandomKey) => dataset.trainingPixels!(inside(index), key) }
      : {}),
    label: (index) => dataset.label(inside(index)),
  };
}
