import { OptionError } from "../base/errors.js";

/** Mean and standard deviation of each channel, of values from 0 to 1: a network sees (value - mean) / std. */
export interface Normalization {
  readonly mean: readonly number[];
  readonly std: readonly number[];
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

/** The normalized value of each of the 256 byte values, a table for each channel. */
export function normalizationTables({ mean, std }: Normalization): Float32Array[] {
  return mean.map((center, channel) =>
    Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - center) / std[channel]!),
  );
}
