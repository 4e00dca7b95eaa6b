import type { AxisRole } from "../attention/map-layout.js";

/** Values with the role of each axis. */
export interface RoleValues {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly axes: readonly AxisRole[];
}

/**
 * The values with only the axes of the given roles, in that order; the others are averaged, or their largest value is taken.
 * @returns the values, row-major, and the product of the sizes of each role, 1 where there is none
 */
export function collapse(
  { data, shape, axes }: RoleValues,
  keep: readonly AxisRole[],
  how: "mean" | "max" = "mean",
): { data: Float32Array; sizes: number[] } {
  const order = keep.flatMap((role) => axes.flatMap((other, axis) => (other === role ? [axis] : [])));
  const strides = shape.map(() => 0);
  let length = 1;
  for (const axis of order.toReversed()) {
    strides[axis] = length;
    length *= shape[axis]!;
  }
  const result = new Float32Array(length).fill(how === "max" ? Number.NEGATIVE_INFINITY : 0);
  const index = shape.map(() => 0);
  let target = 0;
  for (const value of data) {
    result[target] = how === "max" ? Math.max(result[target]!, value) : result[target]! + value;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      target += strides[axis]!;
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      target -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  if (how === "mean") {
    const share = length / data.length;
    for (let at = 0; at < length; at++) result[at]! *= share;
  }
  const sizes = keep.map((role) =>
    shape.reduce((product, size, axis) => (axes[axis] === role ? product * size : product), 1),
  );
  return { data: result, sizes };
}
