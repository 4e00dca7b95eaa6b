import * as z from "zod/mini";
import { DataError } from "../base/errors.js";
import type { ImageDataset, ImageShape } from "./dataset.js";
import type { Normalization } from "./normalization.js";

/** Kernels of resizing, stretched where an image becomes smaller, so that nothing aliases. */
export const interpolations = ["linear", "cubic", "lanczos3"] as const;

export type Interpolation = (typeof interpolations)[number];

/** How images of any size are brought to the size of a network's input. */
export interface ImageResizing {
  /** Share of each side that is kept: the image is resized to cover 1 / cropRatio of the input, whose middle is cut out. */
  readonly cropRatio: number;
  readonly interpolation: Interpolation;
  /** Red, green and blue, 0 to 255, under transparent pixels. */
  readonly background: readonly [red: number, green: number, blue: number];
}

/** All that an image goes through before a network sees it in evaluation; plain data, to be kept with a trained model. */
export interface ImagePreprocessing extends ImageResizing {
  readonly imageShape: ImageShape;
  readonly normalization: Normalization;
}

/** What images are resized by where their data set does not say: all of the image, which is brought to size as it is. */
export const defaultResizing: ImageResizing = {
  cropRatio: 1,
  interpolation: "linear",
  background: [255, 255, 255],
};

/** The preprocessing that shows a network other images as it saw those of a data set in evaluation. */
export function preprocessingOf(dataset: ImageDataset): ImagePreprocessing {
  const { imageShape, normalization, resizing = defaultResizing } = dataset;
  const { cropRatio, interpolation, background } = resizing;
  return { imageShape, normalization, cropRatio, interpolation, background };
}

const size = z.int().check(z.gte(1), z.lte(2 ** 14));
const byte = z.number().check(z.gte(0), z.lte(255));
const schema = z
  .strictObject({
    imageShape: z.tuple([z.literal([1, 3]), size, size]),
    normalization: z.object({
      mean: z.array(z.number()),
      std: z.array(z.number().check(z.gt(0))),
    }),
    cropRatio: z.number().check(z.gt(0), z.lte(1)),
    interpolation: z.enum(interpolations),
    background: z.tuple([byte, byte, byte]),
  })
  .check(
    z.refine(
      ({ imageShape: [channels], normalization: { mean, std } }) =>
        mean.length === channels && std.length === channels,
      "normalization must have a mean and a std for each channel",
    ),
  );

/** Reads a preprocessing from parsed JSON, such as a model's metadata. @throws DataError naming each part that is wrong */
export function readPreprocessing(value: unknown, where: string): ImagePreprocessing {
  const parsed = z.safeParse(schema, value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "value"}: ${message}`);
  throw new DataError(`${where}: malformed image preprocessing; ${problems.join("; ")}`);
}
