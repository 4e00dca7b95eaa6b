import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Module } from "../../nn/module.js";
import { buffer } from "../../nn/variables.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { reshape, slice } from "../../ops/shape.js";

/** A frequency of the two-dimensional DCT: u along the height, v along the width. */
export type Frequency = readonly [u: number, v: number];

const orders = ["top", "low", "bot"] as const;
const counts = [1, 2, 4, 8, 16, 32] as const;

/** Name of a set of frequencies: the N best, lowest or worst ones. */
export type FrequencySet = `${(typeof orders)[number]}${(typeof counts)[number]}`;

/** Every set of frequencies. */
export const frequencySets: readonly FrequencySet[] = orders.flatMap((order) =>
  counts.map((count): FrequencySet => `${order}${count}`),
);

/** Side of the grid to which the indices below refer. */
const ratedGrid = 7;

/** Frequencies of FcaNet as `uv`: the best and the worst by the accuracy that each reaches alone, and the lowest. */
const rated: Readonly<Record<(typeof orders)[number], string>> = {
  top: "00 01 60 05 02 10 12 40 50 16 30 04 06 03 35 22 46 63 33 53 55 21 61 52 54 32 31 41 23 20 65 13",
  low: "00 01 10 11 02 20 21 12 22 03 30 40 04 13 31 05 14 23 32 41 50 06 15 24 33 42 51 60 16 25 34 43",
  bot: "66 14 34 36 26 43 11 24 44 45 56 15 42 62 25 51 64 13 65 20 23 41 31 32 54 52 61 21 55 53 33 63",
};

/** Frequencies of a set, multiplied by the number of times that the rated grid fits into this one along each axis. */
function frequenciesOf(set: FrequencySet, height: number, width: number): Frequency[] {
  const [order, count] = [set.slice(0, 3) as keyof typeof rated, Number(set.slice(3))];
  const [rows, columns] = [Math.floor(height / ratedGrid), Math.floor(width / ratedGrid)];
  const pairs = rated[order].split(" ").slice(0, count);
  return pairs.map((pair): Frequency => [Number(pair[0]) * rows, Number(pair[1]) * columns]);
}

/** True where scaling to the grid keeps the frequencies of a set apart: it is large enough, or the set holds the mean alone. */
export function fitsGrid(set: FrequencySet, height: number, width: number): boolean {
  return (height >= ratedGrid && width >= ratedGrid) || set === "top1" || set === "low1";
}

/** Value at `position` of the orthonormal DCT-II basis function of a frequency over `length` points. */
function basis(frequency: number, position: number, length: number): number {
  const norm = Math.sqrt((frequency === 0 ? 1 : 2) / length);
  return norm * Math.cos((Math.PI * frequency * (position + 0.5)) / length);
}

/** Fills filters [channels, height, width], row-major; consecutive groups of channels share a frequency. */
function fillFilters(
  out: Float32Array,
  frequencies: readonly Frequency[],
  height: number,
  width: number,
): void {
  const size = height * width;
  const channels = out.length / size;
  for (let channel = 0; channel < channels; channel++) {
    const [u, v] = frequencies[Math.floor((channel * frequencies.length) / channels)]!;
    for (let pixel = 0; pixel < size; pixel++) {
      const value = basis(u, Math.floor(pixel / width), height) * basis(v, pixel % width, width);
      out[channel * size + pixel] = value;
    }
  }
}

/** Grid and frequencies of a spectrum. */
export interface SpectrumOptions {
  readonly channels: number;
  readonly dctHeight: number;
  readonly dctWidth: number;
  readonly frequencies: FrequencySet | readonly Frequency[];
}

/** The frequencies of the groups of channels. */
export function frequencyList({ frequencies, dctHeight, dctWidth }: SpectrumOptions): readonly Frequency[] {
  return typeof frequencies === "string" ? frequenciesOf(frequencies, dctHeight, dctWidth) : frequencies;
}

/** Squeeze by the DCT: one coefficient per channel, of the frequency of the channel's group. */
export class MultiSpectralDct extends Module {
  /** Filters [C, h, w], constant and equal within a group. */
  readonly weight: Variable;
  readonly #groups: number;

  constructor(options: SpectrumOptions) {
    super();
    const { channels, dctHeight: height, dctWidth: width } = options;
    const frequencies = frequencyList(options);
    this.weight = buffer([channels, height, width], (out) => fillFilters(out, frequencies, height, width));
    this.#groups = frequencies.length;
  }

  /** @param x [N, C, h, w]  @returns [N, C, 1, 1] */
  forward(x: Tensor): Tensor {
    const groups = this.#groups;
    const [channels, height, width] = this.weight.shape as [number, number, number];
    const [members, pixels] = [channels / groups, height * width];
    const filters = reshape(this.weight, { shape: [groups, members, pixels] });
    const shared = slice(filters, { axes: [1], starts: [0], ends: [1] }); // [G, 1, hw]: one product per group
    const planes = reshape(x, { shape: [-1, groups, members, pixels] });
    return reshape(matmul(planes, swapLast(shared)), { shape: [-1, channels, 1, 1] }); // from [N, G, C/G, 1]
  }
}
