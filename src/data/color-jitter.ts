import { checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import { permutation, randomUniform } from "../base/random.js";
import type { Augmentation } from "./augment.js";

/** How far colours may change. */
export interface ColorJitterOptions {
  /** The image is multiplied by a factor from 1 - brightness (not below 0) to 1 + brightness. */
  readonly brightness?: number;
  /** Differences from the mean grey are multiplied by such a factor. */
  readonly contrast?: number;
  /** Differences from the pixel's grey are multiplied by such a factor. */
  readonly saturation?: number;
  /** Hues are turned by a share of the circle from -hue to hue, at most 0.5. */
  readonly hue?: number;
}

/**
 * Changes brightness, contrast, saturation and hue by random amounts, in random order; values stay in 0 to 1. Of images with one
 * channel brightness and contrast change. Definitions are torchvision's.
 * Howard: Some Improvements on Deep Convolutional Neural Network Based Image Classification, 2013, arXiv:1312.5402, section 2.
 */
export function colorJitter(options: ColorJitterOptions): Augmentation {
  const name = "colorJitter";
  const { brightness = 0, contrast = 0, saturation = 0, hue = 0 } = options;
  for (const [option, value] of Object.entries({ brightness, contrast, saturation })) {
    checkNumber(name, option, value, { min: 0 });
  }
  checkNumber(name, "hue", hue, { min: 0, max: 0.5 });
  const factorFrom = (range: number, uniform: number) => {
    const low = Math.max(0, 1 - range);
    return low + (1 + range - low) * uniform;
  };
  const changes: readonly {
    readonly range: number;
    readonly change: (image: Float32Array, channels: number, uniform: number) => void;
  }[] = [
    {
      range: brightness,
      change: (image, _, u) => adjustBrightness(image, factorFrom(brightness, u)),
    },
    {
      range: contrast,
      change: (image, channels, u) => adjustContrast(image, channels, factorFrom(contrast, u)),
    },
    {
      range: saturation,
      change: (image, channels, u) => adjustSaturation(image, channels, factorFrom(saturation, u)),
    },
    {
      range: hue,
      change: (image, channels, u) => adjustHue(image, channels, (2 * u - 1) * hue),
    },
  ];
  return {
    name,
    apply(source, target, [channels], key) {
      if (channels !== 1 && channels !== 3) {
        throw new OptionError(
          `${name}: images have ${channels} channels; it changes those of 1 (grey) and 3 (RGB)`,
        );
      }
      target.set(source);
      for (const index of permutation(changes.length, { ...key, stream: `${key.stream}.order` })) {
        const { range, change } = changes[index]!;
        if (range > 0) change(target, channels, randomUniform(key, index));
      }
    },
  };
}

/** Shares of red, green and blue in grey (ITU-R BT.601). */
const [redShare, greenShare, blueShare] = [0.2989, 0.587, 0.114];

function clamp(value: number): number {
  return value < 0 ? 0 : Math.min(value, 1);
}

function greyAt(image: Float32Array, plane: number, pixel: number): number {
  return (
    redShare * image[pixel]! + greenShare * image[plane + pixel]! + blueShare * image[2 * plane + pixel]!
  );
}

/** Multiplies an image by a factor, in place. */
export function adjustBrightness(image: Float32Array, factor: number): void {
  for (let i = 0; i < image.length; i++) image[i] = clamp(factor * image[i]!);
}

/** Multiplies the differences from the image's mean grey by a factor, in place. */
export function adjustContrast(image: Float32Array, channels: number, factor: number): void {
  const plane = image.length / channels;
  let sum = 0;
  for (let i = 0; i < plane; i++) sum += channels === 3 ? greyAt(image, plane, i) : image[i]!;
  const rest = ((1 - factor) * sum) / plane;
  for (let i = 0; i < image.length; i++) image[i] = clamp(factor * image[i]! + rest);
}

/** Multiplies the differences from each pixel's grey by a factor, in place. */
export function adjustSaturation(image: Float32Array, channels: number, factor: number): void {
  if (channels !== 3) return;
  const plane = image.length / 3;
  for (let i = 0; i < plane; i++) {
    const rest = (1 - factor) * greyAt(image, plane, i);
    for (let j = i; j < image.length; j += plane) image[j] = clamp(factor * image[j]! + rest);
  }
}

/** Turns the hue of each pixel by a share of the circle, in place; the largest and the smallest of its channels stay. */
export function adjustHue(image: Float32Array, channels: number, turn: number): void {
  if (channels !== 3) return;
  const plane = image.length / 3;
  for (let i = 0; i < plane; i++) {
    const [red, green, blue] = [image[i]!, image[plane + i]!, image[2 * plane + i]!];
    const high = Math.max(red, green, blue);
    const low = Math.min(red, green, blue);
    const range = high - low;
    if (range === 0) continue;
    // Six sectors from red over yellow, green, cyan, blue and magenta.
    let sector: number;
    if (high === red) sector = (green - blue) / range;
    else if (high === green) sector = 2 + (blue - red) / range;
    else sector = 4 + (red - green) / range;
    const turned = sector + 6 * turn;
    // A channel is at its highest within a sector of its own colour, at its lowest two sectors on, and linear between.
    const channelAt = (center: number) => {
      const away = Math.abs(((((turned - center + 3) % 6) + 6) % 6) - 3);
      return low + range * clamp(2 - away);
    };
    image[i] = channelAt(0);
    image[plane + i] = channelAt(2);
    image[2 * plane + i] = channelAt(4);
  }
}
