import { OptionError } from "../base/errors.js";

/** Mean and standard deviation of each channel, of values from 0 to 1: a network sees (value - mean) / std. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Published statistics of well-known training images. */
const published = {
  /** ILSVRC 2012, as torchvision's models expect it. */
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  cifar100: { mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] },
  mnist: { mean: [0.1307], std: [0.3081] },
} as const satisfies Readonly<Record<string, Normalization>>;

/** Name of a published normalization. */
export type NormalizationName = keyof typeof published;

/** A published normalization: of ImageNet, CIFAR-10, CIFAR-100 or MNIST. @throws OptionError for another name */
export function namedNormalization(name: NormalizationName): Normalization {
  if (Object.hasOwn(published, name)) return published[name];
  throw new OptionError(
    `normalization is "${name}"; the named ones are ${Object.keys(published).join(", ")}`,
  );
}

/** Refuses a normalization that does not give each channel a finite mean and a positive standard deviation.
 *  @throws OptionError */
export function checkNormalization(where: string, { mean, std }: Normalization, channels: number): void {
  if (mean.length !== channels || !mean.every(Number.isFinite)) {
    throw new OptionError(
      `${where}: mean is [${mean}]; it must be ${channels} finite numbers, one a channel`,
    );
  }
  if (std.length !== channels || !std.every((value) => Number.isFinite(value) && value > 0)) {
    throw new OptionError(
      `${where}: std is [${std}]; it must be ${channels} positive numbers, one a channel`,
    );
  }
}

/** Normalizes an image of bytes [C, H, W] by the tables of its channels. */
export function normalizePixels(
  pixels: Uint8Array,
  target: Float32Array,
  tables: readonly Float32Array[],
): void {
  const plane = pixels.length / tables.length;
  tables.forEach((table, channel) => {
    for (let j = channel * plane; j < (channel + 1) * plane; j++) target[j] = table[pixels[j]!]!;
  });
}

/** The normalized value of each of the 256 byte values, a table for each channel. */
export function normalizationTables({ mean, std }: Normalization): Float32Array[] {
  return mean.map((center, channel) =>
    Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - center) / std[channel]!),
  );
}
