import type { HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import { centered, type ImageSize } from "./crop.js";
import { decodeCentered, defaultLimits, type ImageLimits, openImage, planesOf } from "./node-image-codec.js";
import { normalizationTables, normalizePixels } from "./normalization.js";
import type { ImagePreprocessing } from "./preprocessing.js";

/** An image as a network sees it. */
export interface LoadedImage {
  /** Normalized, float32 [1, C, H, W]. */
  readonly x: HostTensor;
  /** Before normalization, [C, H, W] row-major, 0 to 255. */
  readonly pixels: Uint8Array;
  /** Height and width of the whole image, oriented as its EXIF data say. */
  readonly originalSize: ImageSize;
}

/**
 * Reads an image as the images of a data set are evaluated: oriented, resized, cropped to the middle, normalized.
 * @param image a path, or a file's bytes: JPEG, PNG, WebP or AVIF
 * @param preprocessing `preprocessingOf` the data set that the network was trained on
 * @throws BrokenImageError naming the path of an image that cannot be read; DataError with the remedy where sharp is missing
 */
export async function loadImage(
  image: string | Uint8Array,
  preprocessing: ImagePreprocessing,
  limits: ImageLimits = {},
): Promise<LoadedImage> {
  const { imageShape, normalization } = preprocessing;
  const [channels, ...size] = imageShape;
  const opened = await openImage(image, { ...defaultLimits, ...limits });
  const decoded = await decodeCentered(opened, size, preprocessing);
  const pixels = planesOf(decoded, centered(size, size), colorChannels("loadImage", channels));
  const data = new Float32Array(pixels.length);
  normalizePixels(pixels, data, normalizationTables(normalization));
  return { x: { dtype: "float32", shape: [1, ...imageShape], data }, pixels, originalSize: opened.size };
}

/** @throws OptionError where images cannot have so many channels */
export function colorChannels(where: string, channels: number): 1 | 3 {
  if (channels === 1 || channels === 3) return channels;
  throw new OptionError(`${where}: channels is ${channels}; it must be 1 (grey) or 3 (red, green, blue)`);
}
