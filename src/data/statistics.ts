import { checkInteger } from "../base/check.js";
import { DataError } from "../base/errors.js";
import { permutation } from "../base/random.js";
import type { ImageDataset } from "./dataset.js";
import type { Normalization } from "./normalization.js";
import { readAhead } from "./read-ahead.js";

/** Of which images statistics are taken. */
export interface StatisticsOptions {
  /** How many images, chosen at random, at most; all by default. */
  readonly samples?: number;
  /** Seed of the choice; 0 by default. */
  readonly seed?: number;
}

/** Images that are decoded at once. */
const ahead = 32;

/**
 * Mean and standard deviation of each channel over a data set's images, as evaluation sees them; each image is held only until its
 * values are counted.
 * @throws OptionError; DataError where no image can be read or a channel has one value only; BrokenImageError where an image
 * cannot be read and the data set does not skip it
 */
export async function computeNormalization(
  dataset: ImageDataset,
  options: StatisticsOptions = {},
): Promise<Normalization> {
  const { samples = dataset.length, seed = 0 } = options;
  checkInteger("computeNormalization", "samples", samples, { min: 1 });
  checkInteger("computeNormalization", "seed", seed);
  const order = permutation(dataset.length, { seed, stream: "statistics", step: 0 });
  // In the data set's order, which is that of its files.
  const chosen = order.subarray(0, Math.min(samples, dataset.length)).sort();
  const channels = dataset.imageShape[0];
  // Counts of the 256 values are exact, whatever the number of images.
  const counts = Array.from({ length: channels }, () => new Float64Array(256));
  for await (const { pixels } of readAhead(dataset, chosen, ahead)) {
    const plane = pixels.length / channels;
    counts.forEach((count, channel) => {
      for (let j = channel * plane; j < (channel + 1) * plane; j++) count[pixels[j]!]!++;
    });
  }
  const moments = counts.map((count, channel) => momentsOf(count, `${dataset.name}: channel ${channel}`));
  return { mean: moments.map(({ mean }) => mean), std: moments.map(({ std }) => std) };
}

/** Mean and standard deviation of values 0 to 1, from how often each byte occurs. */
function momentsOf(counts: Float64Array, where: string): { mean: number; std: number } {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) throw new DataError(`${where}: no image can be read`);
  const mean = counts.reduce((sum, count, byte) => sum + count * byte, 0) / total;
  const variance = counts.reduce((sum, count, byte) => sum + count * (byte - mean) ** 2, 0) / total;
  if (variance === 0) {
    throw new DataError(`${where} is ${mean} everywhere; images without contrast cannot be normalized`);
  }
  return { mean: mean / 255, std: Math.sqrt(variance) / 255 };
}
