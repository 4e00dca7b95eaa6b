import { checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import { type RandomKey, randomInteger, randomUniform } from "../base/random.js";

/** Height and width. */
export type ImageSize = readonly [height: number, width: number];

/** A rectangle of whole pixels. */
export interface Box {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** From which rectangles one is drawn. */
export interface RandomBoxOptions {
  /** Smallest and largest share of the image's area, in (0, 1]. */
  readonly scale: readonly [low: number, high: number];
  /** Smallest and largest width / height. */
  readonly ratio: readonly [low: number, high: number];
}

/** @throws OptionError naming the option, its value and the rule */
export function checkRandomBox(where: string, { scale, ratio }: RandomBoxOptions): void {
  for (const [option, [low, high]] of [["scale", scale] as const, ["ratio", ratio] as const]) {
    const range = { min: Number.MIN_VALUE, ...(option === "scale" ? { max: 1 } : {}) };
    checkNumber(where, option, low, range);
    checkNumber(where, option, high, range);
    if (low > high)
      throw new OptionError(
        `${where}: ${option} is [${low}, ${high}]; the first must not be above the second`,
      );
  }
}

/** Drawings before a rectangle that fits is given up. */
const attempts = 10;

/**
 * A random rectangle of an image: its share of the area is uniform, the logarithm of its ratio too, and its place; as torchvision's.
 * @returns undefined where ten drawings gave none that lies within the image
 */
export function randomBox(
  [height, width]: ImageSize,
  options: RandomBoxOptions,
  key: RandomKey,
): Box | undefined {
  const [smallest, largest] = options.scale;
  const [narrowest, widest] = options.ratio.map(Math.log) as [number, number];
  for (let attempt = 0; attempt < attempts; attempt++) {
    const draw = (index: number) => randomUniform(key, 4 * attempt + index);
    const area = height * width * (smallest + (largest - smallest) * draw(0));
    const ratio = Math.exp(narrowest + (widest - narrowest) * draw(1));
    const h = Math.round(Math.sqrt(area / ratio));
    const w = Math.round(Math.sqrt(area * ratio));
    if (h < 1 || w < 1 || h > height || w > width) continue;
    return {
      top: randomInteger(key, 4 * attempt + 2, height - h + 1),
      left: randomInteger(key, 4 * attempt + 3, width - w + 1),
      height: h,
      width: w,
    };
  }
  return undefined;
}

/**
 * The rectangle of a random resized crop: a random one or, where none fits, the largest in the middle whose ratio is allowed.
 * Szegedy et al.: Going Deeper with Convolutions, CVPR 2015, arXiv:1409.4842, section 6.
 */
export function randomResizedCropBox(size: ImageSize, options: RandomBoxOptions, key: RandomKey): Box {
  const [height, width] = size;
  const [narrowest, widest] = options.ratio;
  const ratio = Math.min(Math.max(width / height, narrowest), widest);
  return (
    randomBox(size, options, key) ??
    centered(size, [
      Math.max(1, Math.min(height, Math.round(width / ratio))),
      Math.max(1, Math.min(width, Math.round(height * ratio))),
    ])
  );
}

/** A rectangle of a size at a random place of an image that is as large at least. */
export function randomPlace([height, width]: ImageSize, [h, w]: ImageSize, key: RandomKey): Box {
  return {
    top: randomInteger(key, 0, height - h + 1),
    left: randomInteger(key, 1, width - w + 1),
    height: h,
    width: w,
  };
}

/** The rectangle of a size in the middle of an image that is as large at least. */
export function centered([height, width]: ImageSize, [h, w]: ImageSize): Box {
  return { top: (height - h) >> 1, left: (width - w) >> 1, height: h, width: w };
}

/**
 * The size that an image is resized to before a crop of `crop` is taken: its proportions kept, it covers `crop` / cropRatio (rounded
 * down), as in torchvision's Resize and CenterCrop.
 */
export function coveringSize([height, width]: ImageSize, crop: ImageSize, cropRatio: number): ImageSize {
  // A whole number of pixels must not be lost to rounding: 224 / 0.875 is 256.
  const [h, w] = crop.map((side) => Math.floor(side / cropRatio + 1e-6)) as [number, number];
  const scale = Math.max(h / height, w / width);
  return [Math.max(h, Math.floor(height * scale + 1e-6)), Math.max(w, Math.floor(width * scale + 1e-6))];
}
