import type { Shape } from "../../graph/size.js";
import { elements } from "./elements.js";

/** Ranges of an axis such that no part of the tensor has more elements than `limit` in a sample; an index of the axis is not divided. */
export function blockRanges(
  shape: Shape,
  { axis, limit }: { readonly axis: number; readonly limit: number },
): [start: number, end: number][] {
  const length = shape[axis] as number;
  const rows = Math.max(1, Math.floor((limit * length) / elements(shape)));
  return Array.from({ length: Math.ceil(length / rows) }, (_, index) => [
    index * rows,
    Math.min(length, (index + 1) * rows),
  ]);
}
