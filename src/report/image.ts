import { ShapeError } from "../base/errors.js";
import type { Color, Shader } from "./canvas.js";
import { type ColormapName, colormap } from "./colormap.js";
import { type Interpolation, resizePlane } from "./resize.js";

/** Image with values in 0..1, planes first. */
export interface ImagePlanes {
  readonly data: Float32Array;
  /** [channels, height, width], one channel (grey) or three (red, green, blue). */
  readonly shape: readonly number[];
}

/** A map of values, such as where a network looked. */
export interface HeatMap {
  readonly data: Float32Array;
  /** [height, width] */
  readonly shape: readonly number[];
}

/** Checks that `data` holds `shape`'s values. @throws ShapeError */
function checkShape(
  what: string,
  data: Float32Array,
  shape: readonly number[],
  expected: string,
  ok: boolean,
): void {
  const whole = shape.every((size) => Number.isSafeInteger(size) && size > 0);
  if (!ok || !whole || data.length !== shape.reduce((a, b) => a * b, 1)) {
    throw new ShapeError(
      `${what}: expected ${expected}; found [${shape.join(", ")}] with ${data.length} values`,
    );
  }
}

/** Height and width of an image. @throws ShapeError where its shape is not [1 or 3, height, width]. */
export function imageSize({ data, shape }: ImagePlanes): [height: number, width: number] {
  const ok = shape.length === 3 && (shape[0] === 1 || shape[0] === 3);
  checkShape("image", data, shape, "[1 or 3, height, width]", ok);
  return [shape[1]!, shape[2]!];
}

/** Shader that shows an image over the whole block. Values outside 0..1 are clamped. */
export function imageShader(image: ImagePlanes, interpolation: Interpolation) {
  const [height, width] = imageSize(image);
  return (columns: number, rows: number): Shader => {
    const planes = Array.from({ length: image.shape[0]! }, (_, c) =>
      resizePlane(
        image.data.subarray(c * height * width, (c + 1) * height * width),
        [height, width],
        [rows, columns],
        interpolation,
      ),
    );
    const level = (channel: number, at: number) => {
      const value = planes[Math.min(channel, planes.length - 1)]![at]!;
      return value > 0 ? Math.min(value, 1) * 255 : 0;
    };
    return (column, row) => {
      const at = row * columns + column;
      return [level(0, at), level(1, at), level(2, at)];
    };
  };
}

/** How a heat map lies over a picture. */
export interface HeatOptions {
  readonly map: ColormapName;
  /** Values that get the lowest and the highest colour; default: the map's own minimum (at most 0) and maximum. */
  readonly range?: readonly [low: number, high: number];
  /** Opacity at the lowest and at the highest value; of a `signed` map at zero and at the values farthest from it. */
  readonly opacity: readonly [low: number, high: number];
  /** Values count from zero in both directions: the range is as wide on either side. */
  readonly signed?: boolean;
  readonly interpolation?: Interpolation;
}

/** Shader that lays a heat map over the block, interpolated as values and coloured after. */
export function heatShader(heat: HeatMap, options: HeatOptions) {
  checkShape("heat map", heat.data, heat.shape, "[height, width]", heat.shape.length === 2);
  const [height, width] = heat.shape as [number, number];
  const signed = options.signed ?? false;
  const [low, high] = options.range ?? (signed ? signedRange(heat.data) : heatRange(heat.data));
  const color = colormap(options.map);
  const middle = signed ? 0.5 : 0;
  const [from, to] = options.opacity;
  return (columns: number, rows: number): Shader => {
    const plane = resizePlane(
      heat.data,
      [height, width],
      [rows, columns],
      options.interpolation ?? "bilinear",
    );
    return (column, row): Color => {
      const share = high > low ? (plane[row * columns + column]! - low) / (high - low) : middle;
      const t = share > 0 ? Math.min(share, 1) : 0;
      return [...color(t), from + (to - from) * (signed ? Math.abs(2 * t - 1) : t)];
    };
  };
}

function signedRange(values: Float32Array): [low: number, high: number] {
  const farthest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return [-farthest, farthest];
}

function heatRange(values: Float32Array): [low: number, high: number] {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
