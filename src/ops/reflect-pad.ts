import { ShapeError } from "../base/errors.js";
import { formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { spatialSizes } from "./conv.js";
import { concat, flip, slice } from "./shape.js";
import { normalizeWindow, type PerAxis } from "./window.js";

/**
 * Extends the spatial axes by their own mirror images, in which the first and the last element are not repeated: x [N, C, ...] ->
 * [N, C, ...], as PyTorch's padding mode `reflect`. `padding` is one number, one per axis, or begin of all axes followed by end of all.
 * @throws ShapeError for padding that is not smaller than its axis
 */
export function reflectPad(x: Tensor, { padding }: { readonly padding: PerAxis }): Tensor {
  const axes = x.rank - 2;
  if (axes < 1) throw new ShapeError(`reflectPad: input must be [N, C, ...], found ${formatShape(x.shape)}`);
  const counts = normalizeWindow({ padding }, axes).padding;
  return spatialSizes(x).reduce((value, length, index) => {
    const axis = index + 2;
    const [before, after] = [counts[index]!, counts[axes + index]!];
    if (Math.max(before, after) >= length) {
      throw new ShapeError(
        `reflectPad: padding of axis ${axis} must be smaller than its size ${length}, found ${Math.max(before, after)}`,
      );
    }
    const mirrored = (start: number, count: number) =>
      flip(slice(value, { axes: [axis], starts: [start], ends: [start + count] }), { axes: [axis] });
    const begin = before > 0 ? [mirrored(1, before)] : [];
    const end = after > 0 ? [mirrored(length - 1 - after, after)] : [];
    return begin.length + end.length > 0 ? concat([...begin, value, ...end], { axis }) : value;
  }, x);
}
