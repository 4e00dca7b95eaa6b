import { DataError } from "../base/errors.js";
import { type Box, centered, coveringSize, type ImageSize } from "./crop.js";
import { BrokenImageError } from "./dataset.js";
import { imageFormat } from "./image-type.js";
import { readBounded } from "./node-read-file.js";
import { loadSharp } from "./node-sharp.js";
import type { ImageResizing, Interpolation } from "./preprocessing.js";

/** Limits on what is decoded: images from outside are hostile until read. */
export interface ImageLimits {
  /** Largest number of pixels, width times height (default 2^26, about 67 million). */
  readonly maxPixels?: number;
  /** Largest file in bytes (default 2^26, 64 MiB). */
  readonly maxFileBytes?: number;
}

export const defaultLimits: Required<ImageLimits> = { maxPixels: 2 ** 26, maxFileBytes: 2 ** 26 };

/** An image file that was opened: its bytes, and its size as it is to be seen. */
export interface OpenImage {
  readonly source: string;
  readonly bytes: Uint8Array;
  /** With the orientation of its EXIF data applied. */
  readonly size: ImageSize;
}

/** Pixels in red, green and blue, [H, W, 3] row-major, sRGB. */
export interface RgbImage {
  readonly data: Uint8Array;
  readonly size: ImageSize;
}

/**
 * Reads an image's header.
 * @param image a path, or a file's bytes
 * @throws BrokenImageError naming the path where the file cannot be read, is no JPEG, PNG, WebP or AVIF, or exceeds a limit;
 * DataError where sharp is missing
 */
export async function openImage(
  image: string | Uint8Array,
  limits: Required<ImageLimits>,
): Promise<OpenImage> {
  const source = typeof image === "string" ? image : "image";
  const sharp = await loadSharp();
  const bytes = typeof image === "string" ? await readImageFile(image, limits.maxFileBytes) : image;
  if (bytes.length > limits.maxFileBytes) {
    throw new BrokenImageError(`${source}: ${bytes.length} bytes; at most ${limits.maxFileBytes} are read`);
  }
  if (!imageFormat(bytes)) {
    throw new BrokenImageError(`${source}: no JPEG, PNG, WebP or AVIF image (${bytes.length} bytes)`);
  }
  const { autoOrient } = await decoding(source, () =>
    sharp(bytes, { limitInputPixels: false, failOn: "error" }).metadata(),
  );
  const size: ImageSize = [autoOrient.height, autoOrient.width];
  if (size[0] * size[1] > limits.maxPixels) {
    throw new BrokenImageError(
      `${source}: ${size[1]} x ${size[0]} pixels; at most ${limits.maxPixels} pixels are decoded`,
    );
  }
  return { source, bytes, size };
}

/**
 * Decodes an image and resizes it to cover a crop, and cuts the crop from its middle.
 * @returns an image of the crop's size
 * @throws BrokenImageError for damaged data, or proportions that make the image too long
 */
export async function decodeCentered(
  image: OpenImage,
  crop: ImageSize,
  { cropRatio, interpolation, background }: ImageResizing,
): Promise<RgbImage> {
  const resized = coveringSize(image.size, crop, cropRatio);
  return decode(image, { resized, box: centered(resized, crop), interpolation, background });
}

/** Decodes an image and resizes it to a size. @throws BrokenImageError for damaged data, or a size that is too long */
export function decodeResized(
  image: OpenImage,
  resized: ImageSize,
  options: Pick<ImageResizing, "interpolation" | "background">,
): Promise<RgbImage> {
  return decode(image, { resized, ...options });
}

/** Cuts a rectangle from decoded pixels and resizes it. */
export async function resizeBox(
  { data, size: [height, width] }: RgbImage,
  box: Box,
  size: ImageSize,
  interpolation: Interpolation,
): Promise<RgbImage> {
  const sharp = await loadSharp();
  const resized = await sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .extract(box)
    .resize({ height: size[0], width: size[1], fit: "fill", kernel: interpolation })
    .raw()
    .toBuffer();
  return { data: resized, size };
}

/** Copies a rectangle of an image as planes [C, H, W]: its three channels, or its grey. */
export function planesOf({ data, size: [, width] }: RgbImage, box: Box, channels: 1 | 3): Uint8Array {
  const plane = box.height * box.width;
  const planes = new Uint8Array(channels * plane);
  let to = 0;
  for (let y = box.top; y < box.top + box.height; y++) {
    let from = (y * width + box.left) * 3;
    for (let x = 0; x < box.width; x++, from += 3, to++) {
      const [red, green, blue] = [data[from]!, data[from + 1]!, data[from + 2]!];
      if (channels === 1) {
        // Grey of ITU-R BT.601 in 16 bits, as in Pillow.
        planes[to] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
      } else {
        planes[to] = red;
        planes[plane + to] = green;
        planes[2 * plane + to] = blue;
      }
    }
  }
  return planes;
}

/** The longest side that sharp resizes an image to. */
const maxSide = 100_000_000;

/** A decoding pipeline: orientation, size, rectangle, background, colours. */
async function decode(
  { source, bytes, size }: OpenImage,
  options: {
    readonly resized: ImageSize;
    readonly box?: Box;
    readonly interpolation: Interpolation;
    readonly background: ImageResizing["background"];
  },
): Promise<RgbImage> {
  const sharp = await loadSharp();
  const { resized, box, interpolation } = options;
  if (Math.max(...resized) > maxSide) {
    throw new BrokenImageError(
      `${source}: ${size[1]} x ${size[0]} pixels become ${resized[1]} x ${resized[0]}; at most ${maxSide} a side are possible`,
    );
  }
  const [r, g, b] = options.background;
  const { data, info } = await decoding(source, () => {
    // The limit of pixels was checked where the image was opened.
    const whole = sharp(bytes, { limitInputPixels: false, failOn: "error" }).autoOrient().resize({
      height: resized[0],
      width: resized[1],
      fit: "fill",
      kernel: interpolation,
      fastShrinkOnLoad: false,
    });
    return (box ? whole.extract(box) : whole)
      .flatten({ background: { r, g, b } })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
  });
  if (info.channels !== 3)
    throw new BrokenImageError(`${source}: decoded to ${info.channels} channels, not to RGB`);
  return { data, size: [info.height, info.width] };
}

async function readImageFile(path: string, maxFileBytes: number): Promise<Uint8Array> {
  try {
    return await readBounded(path, maxFileBytes);
  } catch (cause) {
    if (cause instanceof DataError) throw new BrokenImageError(cause.message, { cause });
    throw cause;
  }
}

/** Names the image in a decoder's error. */
async function decoding<T>(source: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (cause) {
    const reason = (cause as Error).message.trim().split("\n")[0];
    throw new BrokenImageError(`${source}: the image is damaged (${reason})`, { cause });
  }
}
