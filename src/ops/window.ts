import { ShapeError } from "../base/errors.js";

/** One number for all spatial axes, or one per axis. */
export type PerAxis = number | readonly number[];

/** Stride, padding and dilation of a sliding window, as a caller writes them. */
export interface WindowAttributes {
  readonly stride?: PerAxis;
  /** One number, one per axis, or begin of all axes followed by end of all axes. */
  readonly padding?: PerAxis;
  readonly dilation?: PerAxis;
}

/** The same per spatial axis; `padding` holds begin and end of each. */
export interface Window {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
}

function perAxis(
  value: PerAxis | undefined,
  axes: number,
  fallback: number,
  least: number,
  name: string,
): number[] {
  const list = typeof value === "object" ? [...value] : Array<number>(axes).fill(value ?? fallback);
  if (list.length !== axes || list.some((entry) => !Number.isInteger(entry) || entry < least)) {
    throw new ShapeError(`${name} must be ${axes} integers >= ${least}, found [${list.join(", ")}]`);
  }
  return list;
}

/** Canonical form of window attributes over `axes` spatial axes. @throws ShapeError */
export function normalizeWindow(attributes: WindowAttributes, axes: number): Window {
  const { padding } = attributes;
  const given = typeof padding === "object" && padding.length === axes ? [...padding, ...padding] : padding;
  return {
    stride: perAxis(attributes.stride, axes, 1, 1, "stride"),
    padding: perAxis(given, 2 * axes, 0, 0, "padding"),
    dilation: perAxis(attributes.dilation, axes, 1, 1, "dilation"),
  };
}

/** Extent of a dilated kernel along an axis. */
export function kernelExtent(kernel: number, dilation: number): number {
  return (kernel - 1) * dilation + 1;
}

/** Number of window positions along each spatial axis. @throws ShapeError for a kernel that does not fit the padded input */
export function windowCounts(sizes: readonly number[], kernel: readonly number[], window: Window): number[] {
  const axes = sizes.length;
  if (kernel.length !== axes || kernel.some((size) => !Number.isInteger(size) || size < 1)) {
    throw new ShapeError(`kernel must be ${axes} integers >= 1, found [${kernel.join(", ")}]`);
  }
  return sizes.map((size, axis) => {
    const padded = size + window.padding[axis]! + window.padding[axes + axis]!;
    const extent = kernelExtent(kernel[axis]!, window.dilation[axis]!);
    if (extent > padded) {
      throw new ShapeError(
        `window of ${extent} does not fit spatial axis ${axis} of size ${size} padded to ${padded}`,
      );
    }
    return Math.floor((padded - extent) / window.stride[axis]!) + 1;
  });
}
