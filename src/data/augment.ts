import { checkInteger, checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import { type RandomKey, randomInteger, randomUniform } from "../base/random.js";
import type { ImageShape } from "./dataset.js";

/** A random change of an image that keeps its shape and its class. */
export interface Augmentation {
  readonly name: string;
  /**
   * Writes the changed image. Images are [C, H, W] row-major with values from 0 to 1, before normalization.
   * @param target another array than `source`; every element is written
   * @param key what the change is drawn from: equal keys, equal changes
   */
  apply(source: Float32Array, target: Float32Array, shape: ImageShape, key: RandomKey): void;
}

/** Applies augmentations one after the other, each with random numbers of its own. */
export function composeAugmentations(stages: readonly Augmentation[]): Augmentation {
  const suffixes = stages.map(({ name }, i) => `.${i}.${name}`);
  let scratch = new Float32Array();
  return {
    name: stages.map(({ name }) => name).join(", "),
    apply(source, target, shape, key) {
      if (stages.length === 0) target.set(source);
      if (stages.length > 1 && scratch.length !== source.length) scratch = new Float32Array(source.length);
      let from = source;
      stages.forEach((stage, i) => {
        // Alternate, so that the last stage writes the target.
        const to = (stages.length - i) % 2 === 1 ? target : scratch;
        stage.apply(from, to, shape, { ...key, stream: key.stream + suffixes[i] });
        from = to;
      });
    },
  };
}

/** Moves the image by whole pixels, up to `pixels` in each direction; what is uncovered becomes `fill`. */
export function randomShift(options: { readonly pixels: number; readonly fill?: number }): Augmentation {
  const name = "randomShift";
  const { pixels, fill = 0 } = options;
  checkInteger(name, "pixels", pixels);
  checkNumber(name, "fill", fill);
  return {
    name,
    apply(source, target, shape, key) {
      const [, height, width] = shape;
      const rows = movedIndices(height, randomOffset(pixels, key, 0), constant);
      const columns = movedIndices(width, randomOffset(pixels, key, 1), constant);
      gather(source, target, shape, rows, columns, fill);
    },
  };
}

/** How a crop continues the image beyond its edges: with the fill, its edge pixels, or its mirror image. */
export type CropMode = "constant" | "edge" | "reflect";

/** Pads the image by `padding` pixels on each side and cuts an image of the old size from a random place. */
export function randomCrop(options: {
  readonly padding: number;
  readonly mode?: CropMode;
  readonly fill?: number;
}): Augmentation {
  const name = "randomCrop";
  const { padding, mode = "constant", fill = 0 } = options;
  checkInteger(name, "padding", padding);
  checkNumber(name, "fill", fill);
  const extend = Object.hasOwn(extensions, mode) ? extensions[mode] : undefined;
  if (extend === undefined) {
    throw new OptionError(
      `${name}: mode is "${mode}"; it must be one of ${Object.keys(extensions).join(", ")}`,
    );
  }
  return {
    name,
    apply(source, target, shape, key) {
      const [, height, width] = shape;
      if (mode === "reflect" && padding >= Math.min(height, width)) {
        throw new OptionError(
          `${name}: padding is ${padding}; to reflect it must be smaller than the image's ${height} x ${width}`,
        );
      }
      const rows = movedIndices(height, randomOffset(padding, key, 0), extend);
      const columns = movedIndices(width, randomOffset(padding, key, 1), extend);
      gather(source, target, shape, rows, columns, fill);
    },
  };
}

/** Mirrors the image left to right with the given probability (default 0.5). */
export function randomHorizontalFlip(options: { readonly probability?: number } = {}): Augmentation {
  return randomFlip("randomHorizontalFlip", options, { rows: constant, columns: mirrored });
}

/** Mirrors the image top to bottom with the given probability (default 0.5). */
export function randomVerticalFlip(options: { readonly probability?: number } = {}): Augmentation {
  return randomFlip("randomVerticalFlip", options, { rows: mirrored, columns: constant });
}

function randomFlip(
  name: string,
  { probability = 0.5 }: { readonly probability?: number },
  from: { readonly rows: Extension; readonly columns: Extension },
): Augmentation {
  checkNumber(name, "probability", probability, { min: 0, max: 1 });
  return {
    name,
    apply(source, target, shape, key) {
      if (randomUniform(key, 0) >= probability) {
        target.set(source);
        return;
      }
      const [, height, width] = shape;
      const rows = movedIndices(height, 0, from.rows);
      const columns = movedIndices(width, 0, from.columns);
      gather(source, target, shape, rows, columns, 0);
    },
  };
}

/** Rotates the image about its centre by an angle from -degrees to degrees, with bilinear interpolation;
 *  beyond the image's edges is `fill`. */
export function randomRotation(options: { readonly degrees: number; readonly fill?: number }): Augmentation {
  const name = "randomRotation";
  const { degrees, fill = 0 } = options;
  checkNumber(name, "degrees", degrees, { min: 0, max: 180 });
  checkNumber(name, "fill", fill);
  return {
    name,
    apply(source, target, shape, key) {
      const angle = ((2 * randomUniform(key, 0) - 1) * degrees * Math.PI) / 180;
      rotate(source, target, shape, angle, fill);
    },
  };
}

/** An offset from -limit to limit. */
function randomOffset(limit: number, key: RandomKey, index: number): number {
  return randomInteger(key, index, 2 * limit + 1) - limit;
}

/** The index from 0 to size - 1 that stands for an index beyond; -1 for the fill. */
type Extension = (index: number, size: number) => number;

const constant: Extension = (index, size) => (index >= 0 && index < size ? index : -1);
const mirrored: Extension = (index, size) => size - 1 - index;
const extensions: Readonly<Record<CropMode, Extension>> = {
  constant,
  edge: (index, size) => Math.min(Math.max(index, 0), size - 1),
  reflect: (index, size) => size - 1 - Math.abs(size - 1 - Math.abs(index)),
};

function movedIndices(size: number, offset: number, extend: Extension): Int32Array {
  const indices = new Int32Array(size);
  for (let i = 0; i < size; i++) indices[i] = extend(i + offset, size);
  return indices;
}

/** Takes row rows[y] and column columns[x] of the source at (y, x), and the fill where either is -1. */
function gather(
  source: Float32Array,
  target: Float32Array,
  [channels, height, width]: ImageShape,
  rows: Int32Array,
  columns: Int32Array,
  fill: number,
): void {
  let out = 0;
  for (let plane = 0; plane < channels; plane++) {
    for (let y = 0; y < height; y++) {
      const row = rows[y]!;
      const start = (plane * height + row) * width;
      for (let x = 0; x < width; x++) {
        const column = columns[x]!;
        target[out++] = row < 0 || column < 0 ? fill : source[start + column]!;
      }
    }
  }
}

/** Rotates about the centre: each target pixel is interpolated between the four around its place in the source. */
function rotate(
  source: Float32Array,
  target: Float32Array,
  [channels, height, width]: ImageShape,
  angle: number,
  fill: number,
): void {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const centerY = (height - 1) / 2;
  const centerX = (width - 1) / 2;
  const size = height * width;
  const at = (plane: number, y: number, x: number) =>
    y >= 0 && y < height && x >= 0 && x < width ? source[plane * size + y * width + x]! : fill;
  for (let y = 0; y < height; y++) {
    const startY = centerY + cos * (y - centerY);
    const startX = centerX + sin * (y - centerY);
    for (let x = 0; x < width; x++) {
      const sourceY = startY - sin * (x - centerX);
      const sourceX = startX + cos * (x - centerX);
      const top = Math.floor(sourceY);
      const left = Math.floor(sourceX);
      const down = sourceY - top;
      const right = sourceX - left;
      // Inside, the four need no test of bounds.
      const inside = top >= 0 && left >= 0 && top < height - 1 && left < width - 1;
      for (let plane = 0; plane < channels; plane++) {
        const corner = plane * size + top * width + left;
        const upperLeft = inside ? source[corner]! : at(plane, top, left);
        const upperRight = inside ? source[corner + 1]! : at(plane, top, left + 1);
        const lowerLeft = inside ? source[corner + width]! : at(plane, top + 1, left);
        const lowerRight = inside ? source[corner + width + 1]! : at(plane, top + 1, left + 1);
        const upper = upperLeft + (upperRight - upperLeft) * right;
        const lower = lowerLeft + (lowerRight - lowerLeft) * right;
        target[plane * size + y * width + x] = upper + (lower - upper) * down;
      }
    }
  }
}
