import { constant } from "../../graph/constant.js";
import type { Tensor } from "../../graph/tensor.js";
import { add, div, mul } from "../../ops/arithmetic.js";
import { cast, not } from "../../ops/compare.js";
import { cumSum } from "../../ops/cum-sum.js";
import { concat, reshape, slice, stack } from "../../ops/shape.js";
import { cos, sin } from "../../ops/trigonometric.js";

/** Added to counts that positions are divided by. */
const epsilon = 1e-6;

/** T^(-2i / width) for each pair i of a sine and a cosine. */
function frequencies(width: number, temperature: number): number[] {
  return Array.from({ length: width / 2 }, (_, pair) => temperature ** ((-2 * pair) / width));
}

/** Sine (even index) or cosine (odd index) of a position times the index's frequency. */
function wave(position: number, index: number, omega: readonly number[]): number {
  const angle = position * omega[Math.floor(index / 2)]!;
  return index % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
}

/** Sines and cosines of the positions of a sequence, from 0: [1, length, width]. Vaswani et al. 2017, section 3.5. */
export function sinePositions(length: number, width: number, temperature: number): Tensor {
  const omega = frequencies(width, temperature);
  const values = Array.from({ length: length * width }, (_, index) =>
    wave(Math.floor(index / width), index % width, omega),
  );
  return constant(values, { shape: [1, length, width] });
}

/** How positions of an image are counted and encoded. */
export interface Sine2dOptions {
  readonly channels: number;
  readonly temperature: number;
  /** Positions become parts of this number; absent: they are counted. */
  readonly scale?: number | undefined;
}

/** Sines and cosines of rows, then of columns, both from 1: [1, C, H, W]. Carion et al. 2020, appendix. */
export function sinePositions2d([height, width]: readonly [number, number], options: Sine2dOptions): Tensor {
  const { channels, temperature, scale } = options;
  const half = channels / 2;
  const omega = frequencies(half, temperature);
  const place = (index: number, count: number) =>
    scale === undefined ? index + 1 : ((index + 1) / (count + epsilon)) * scale;
  const values = Array.from({ length: channels * height * width }, (_, index) => {
    const [channel, row, column] = [
      Math.floor(index / (height * width)),
      Math.floor(index / width) % height,
      index % width,
    ];
    return channel < half
      ? wave(place(row, height), channel, omega)
      : wave(place(column, width), channel - half, omega);
  });
  return constant(values, { shape: [1, channels, height, width] });
}

/** The same where positions are counted over cells that are no padding: mask [N, H, W] (true: padding) -> [N, C, H, W]. */
export function maskedSinePositions2d(mask: Tensor, options: Sine2dOptions): Tensor {
  const visible = cast(not(mask), { to: "float32" });
  const rows = placed(visible, 1, options.scale);
  const columns = placed(visible, 2, options.scale);
  return concat([waves(rows, options), waves(columns, options)], { axis: 1 });
}

/** Number of visible cells up to each along an axis, or its share of all times `scale`. */
function placed(visible: Tensor, axis: number, scale: number | undefined): Tensor {
  const counts = cumSum(visible, { axis });
  if (scale === undefined) return counts;
  const size = counts.size(axis);
  const all = slice(counts, { axes: [axis], starts: [size - 1], ends: [size] });
  return mul(div(counts, add(all, epsilon)), scale);
}

/** [N, H, W] -> [N, C/2, H, W], sines and cosines in turn. */
function waves(positions: Tensor, { channels, temperature }: Sine2dOptions): Tensor {
  const [height, width] = [positions.size(1), positions.size(2)];
  const omega = constant(frequencies(channels / 2, temperature), { shape: [channels / 4, 1, 1] });
  const angles = mul(reshape(positions, { shape: [-1, 1, height, width] }), omega); // [N, C/4, H, W]
  return reshape(stack([sin(angles), cos(angles)], { axis: 2 }), {
    shape: [-1, channels / 2, height, width],
  });
}
