import { checkInteger, checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import type { RandomKey } from "../base/random.js";
import { BoundedCache } from "./bounded-cache.js";
import {
  centered,
  checkRandomBox,
  coveringSize,
  type ImageSize,
  type RandomBoxOptions,
  randomPlace,
  randomResizedCropBox,
} from "./crop.js";
import { BrokenImageError, type ImageDataset, type ImageShape } from "./dataset.js";
import { Limiter } from "./limiter.js";
import {
  decodeCentered,
  decodeResized,
  defaultLimits,
  type ImageLimits,
  type OpenImage,
  openImage,
  planesOf,
  type RgbImage,
  resizeBox,
} from "./node-image-codec.js";
import { findImages, type ImageFiles } from "./node-image-files.js";
import { colorChannels } from "./node-load-image.js";
import {
  checkNormalization,
  type Normalization,
  type NormalizationName,
  namedNormalization,
} from "./normalization.js";
import { defaultResizing, type ImageResizing, interpolations } from "./preprocessing.js";

/**
 * What training sees of an image.
 * - `resized`: a random rectangle, by default 8 to 100 % of the area and 3/4 to 4/3 wide, brought to the images' size. It is cut from the
 *   image decoded to cover twice that size, where it is larger: small rectangles are enlarged a little more than from the original.
 * - `plain`: a random place of the image resized as for evaluation.
 * - `center`: what evaluation sees.
 */
export type TrainingCrop =
  | ({ readonly kind: "resized" } & Partial<RandomBoxOptions>)
  | { readonly kind: "plain" }
  | { readonly kind: "center" };

export interface ImageFolderOptions extends Partial<ImageResizing>, ImageLimits {
  /** Height and width of all images, or the side of a square. */
  readonly size: number | ImageSize;
  /** 3 for colours (default), where grey images have three equal channels; 1 for grey. */
  readonly channels?: 1 | 3;
  /** `imagenet` by default; grey images take the average of its channels. */
  readonly normalization?: NormalizationName | Normalization;
  /** What training sees of an image; a random resized crop by default. */
  readonly trainingCrop?: TrainingCrop;
  /** Whether an image that cannot be read ends the work (default) or is left out. */
  readonly onError?: "fail" | "skip";
  /** Told once of each image that cannot be read. */
  readonly onBroken?: (error: BrokenImageError) => void;
  /** Bytes of decoded images that are kept in memory (default 2^28, 256 MiB); 0 for none. */
  readonly cacheBytes?: number;
  /** How many images are read and decoded at once; by default twice the threads that decode (UV_THREADPOOL_SIZE, else 4). */
  readonly concurrency?: number;
}

/** A folder of images in its parts. */
export interface ImageFolder {
  /** All images of a folder without parts: divide them with `splitDataset`. */
  readonly train: ImageDataset;
  readonly validation?: ImageDataset;
  readonly test?: ImageDataset;
  /** Images found broken so far. */
  readonly broken: readonly BrokenImageError[];
  /** Files that were left out, since they are no images by their extension. */
  readonly otherFiles: number;
}

/**
 * Labelled images in folders: ROOT/CLASS/IMAGE, or ROOT/train/CLASS/IMAGE with ROOT/val and ROOT/test alike. Classes are sorted by name.
 * JPEG, PNG, WebP and AVIF are read (of an animation the first frame); the orientation of EXIF data is applied, colours become sRGB,
 * transparent pixels show the background (white by default). Images are decoded when they are asked for, in threads of their own.
 *
 * Evaluation resizes an image, in its proportions, to cover `size` / `cropRatio` (0.875 by default) and cuts out the middle.
 * @throws DataError naming the folder that is missing, empty or of an unknown class; OptionError
 */
export async function loadImageFolder(root: string, options: ImageFolderOptions): Promise<ImageFolder> {
  const decoder = new FolderDecoder(options);
  const { classes, otherFiles, ...files } = await findImages(root);
  const part = (name: string, found: ImageFiles, crop: TrainingCrop): ImageDataset => ({
    name: `${root} ${name}`,
    length: found.paths.length,
    classes,
    imageShape: decoder.imageShape,
    normalization: decoder.normalization,
    resizing: decoder.resizing,
    onError: options.onError ?? "fail",
    pixels: (index) => decoder.evaluationPixels(found.paths[index]!),
    ...(crop.kind === "center"
      ? {}
      : {
          trainingPixels: (index: number, key: RandomKey) =>
            decoder.trainingPixels(found.paths[index]!, crop, key),
        }),
    label: (index) => found.labels[index]!,
  });
  return {
    train: part("train", files.train, decoder.trainingCrop),
    ...(files.validation ? { validation: part("validation", files.validation, { kind: "center" }) } : {}),
    ...(files.test ? { test: part("test", files.test, { kind: "center" }) } : {}),
    broken: decoder.broken,
    otherFiles,
  };
}

/** An image is decoded for random rectangles to cover this many times their size. */
const decodedScale = 2;

/** Decodes the images of a folder, a bounded number at once, and keeps what there is room for. */
class FolderDecoder {
  readonly imageShape: ImageShape;
  readonly normalization: Normalization;
  readonly resizing: ImageResizing;
  readonly trainingCrop: TrainingCrop;
  readonly broken: BrokenImageError[] = [];
  readonly #size: ImageSize;
  readonly #channels: 1 | 3;
  readonly #limits: Required<ImageLimits>;
  readonly #onBroken: ((error: BrokenImageError) => void) | undefined;
  readonly #limiter: Limiter;
  readonly #pixels: BoundedCache<Uint8Array | RgbImage>;
  /** The error of each image found broken, which is not read again: an image stays in or out of a run. */
  readonly #errors = new Map<string, BrokenImageError>();

  constructor(options: ImageFolderOptions) {
    const where = "loadImageFolder";
    const { size, cacheBytes = 2 ** 28, concurrency = 2 * threadPoolSize() } = options;
    this.#size = typeof size === "number" ? [size, size] : size;
    for (const side of this.#size) checkInteger(where, "size", side, { min: 1, max: 2 ** 14 });
    this.#channels = colorChannels(where, options.channels ?? 3);
    this.imageShape = [this.#channels, ...this.#size];
    this.normalization = normalizationOf(options.normalization ?? "imagenet", this.#channels);
    checkNormalization(where, this.normalization, this.#channels);
    this.resizing = checkedResizing(where, options);
    this.trainingCrop = options.trainingCrop ?? { kind: "resized" };
    checkTrainingCrop(where, this.trainingCrop);
    checkInteger(where, "cacheBytes", cacheBytes);
    checkInteger(where, "concurrency", concurrency, { min: 1 });
    const { maxPixels = defaultLimits.maxPixels, maxFileBytes = defaultLimits.maxFileBytes } = options;
    checkInteger(where, "maxPixels", maxPixels, { min: 1 });
    checkInteger(where, "maxFileBytes", maxFileBytes, { min: 1 });
    this.#limits = { maxPixels, maxFileBytes };
    this.#onBroken = options.onBroken;
    this.#limiter = new Limiter(concurrency);
    this.#pixels = new BoundedCache(cacheBytes);
  }

  evaluationPixels(path: string): Uint8Array | Promise<Uint8Array> {
    const key = `evaluation ${path}`;
    const kept = this.#pixels.get(key) as Uint8Array | undefined;
    if (kept) return kept;
    return this.#decode(path, async (image) => {
      const decoded = await decodeCentered(image, this.#size, this.resizing);
      const pixels = planesOf(decoded, centered(this.#size, this.#size), this.#channels);
      this.#pixels.offer(key, pixels, pixels.length);
      return pixels;
    });
  }

  trainingPixels(
    path: string,
    crop: Exclude<TrainingCrop, { kind: "center" }>,
    random: RandomKey,
  ): Promise<Uint8Array> {
    const key = `training ${path}`;
    const kept = this.#pixels.get(key) as RgbImage | undefined;
    if (kept) return this.#limiter.run(() => this.#cropRandomly(kept, crop, random));
    return this.#decode(path, async (image) => {
      const decoded = await decodeResized(image, this.#decodedSize(image, crop), this.resizing);
      this.#pixels.offer(key, decoded, decoded.data.length);
      return this.#cropRandomly(decoded, crop, random);
    });
  }

  /** The size that an image is decoded to, before it is cropped at random. */
  #decodedSize({ source, size }: OpenImage, crop: TrainingCrop): ImageSize {
    const [height, width] = size;
    if (crop.kind === "resized") {
      const scale = Math.max((decodedScale * this.#size[0]) / height, (decodedScale * this.#size[1]) / width);
      if (scale >= 1) return size;
      return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
    }
    const covering = coveringSize(size, this.#size, this.resizing.cropRatio);
    // A very long image would grow without bound where it is enlarged to cover the crop's width.
    if (covering[0] * covering[1] > this.#limits.maxPixels) {
      throw new BrokenImageError(
        `${source}: ${width} x ${height} pixels become ${covering[1]} x ${covering[0]}; at most ${this.#limits.maxPixels} pixels are decoded`,
      );
    }
    return covering;
  }

  async #cropRandomly(image: RgbImage, crop: TrainingCrop, random: RandomKey): Promise<Uint8Array> {
    if (crop.kind !== "resized") {
      return planesOf(image, randomPlace(image.size, this.#size, random), this.#channels);
    }
    const { scale, ratio } = { ...defaultCrop, ...crop };
    const box = randomResizedCropBox(image.size, { scale, ratio }, random);
    const resized = await resizeBox(image, box, this.#size, this.resizing.interpolation);
    return planesOf(resized, centered(this.#size, this.#size), this.#channels);
  }

  async #decode(path: string, decode: (image: OpenImage) => Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      const known = this.#errors.get(path);
      if (known) throw known;
      return await this.#limiter.run(async () => decode(await openImage(path, this.#limits)));
    } catch (error) {
      if (error instanceof BrokenImageError && !this.#errors.has(path)) {
        this.#errors.set(path, error);
        this.broken.push(error);
        this.#onBroken?.(error);
      }
      throw error;
    }
  }
}

/** torchvision's random resized crop. */
const defaultCrop: RandomBoxOptions = { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] };

function checkTrainingCrop(where: string, crop: TrainingCrop): void {
  if (!["resized", "plain", "center"].includes(crop.kind)) {
    throw new OptionError(
      `${where}: trainingCrop.kind is "${crop.kind}"; it must be one of resized, plain, center`,
    );
  }
  if (crop.kind === "resized") checkRandomBox(`${where}: trainingCrop`, { ...defaultCrop, ...crop });
}

function checkedResizing(where: string, options: Partial<ImageResizing>): ImageResizing {
  const {
    cropRatio = 0.875,
    interpolation = defaultResizing.interpolation,
    background = defaultResizing.background,
  } = options;
  checkNumber(where, "cropRatio", cropRatio, { min: 0.01, max: 1 });
  if (!interpolations.includes(interpolation)) {
    throw new OptionError(
      `${where}: interpolation is "${interpolation}"; it must be one of ${interpolations.join(", ")}`,
    );
  }
  for (const part of background) checkInteger(where, "background", part, { max: 255 });
  return { cropRatio, interpolation, background };
}

/** A normalization for so many channels: grey has the average of a named one's colours, and colours have that of grey. */
function normalizationOf(choice: NormalizationName | Normalization, channels: 1 | 3): Normalization {
  if (typeof choice !== "string") return choice;
  const { mean, std } = namedNormalization(choice);
  if (mean.length === channels) return { mean, std };
  const spread = (values: readonly number[]) => {
    const average = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Array<number>(channels).fill(average);
  };
  return { mean: spread(mean), std: spread(std) };
}

/** Threads of the pool that decodes images. */
function threadPoolSize(): number {
  const size = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  return Number.isInteger(size) && size >= 1 ? Math.min(size, 1024) : 4;
}
