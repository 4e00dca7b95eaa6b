import { constant } from "../graph/constant.js";
import type { Tensor } from "../graph/tensor.js";
import { add } from "./arithmetic.js";
import { concat, expand, reshape, resize, slice } from "./shape.js";

/** A line of window positions along an axis, and the line of elements that the windows were taken from. */
export interface WindowLine {
  readonly axis: number;
  readonly stride: number;
  readonly dilation: number;
  /** Padding before the first element. */
  readonly padding: number;
  /** Number of elements. */
  readonly length: number;
}

/**
 * Adds up what the elements of windows receive along one axis, the transpose of sliding a window: `shares[k]` at window position o
 * belongs to element `o * stride + k * dilation - padding`. What falls into padding is dropped.
 */
export function scatterWindows(shares: readonly Tensor[], line: WindowLine): Tensor {
  const { axis, stride, dilation, padding, length } = line;
  const [first] = shares as [Tensor];
  const cells = Math.max(
    first.size(axis) + Math.floor(((shares.length - 1) * dilation) / stride),
    Math.ceil((padding + length) / stride),
  );
  const classes = Array.from({ length: stride }, (_, remainder): Tensor | undefined =>
    shares
      .map((share, index) => ({ share, at: index * dilation }))
      .filter(({ at }) => at % stride === remainder)
      .map(({ share, at }) => resize(share, { axis, start: Math.floor(at / stride), length: cells }))
      .reduce<Tensor | undefined>((total, share) => (total ? add(total, share) : share), undefined),
  );
  const { shape } = first;
  const zero = expand(constant(0), { shape: shape.with(axis, cells) });
  const columns = classes.map((entry) =>
    reshape(entry ?? zero, { shape: [...shape.slice(0, axis), cells, 1, ...shape.slice(axis + 1)] }),
  );
  const interleaved = reshape(concat(columns, { axis: axis + 1 }), {
    shape: [...shape.slice(0, axis), cells * stride, ...shape.slice(axis + 1)],
  });
  return slice(interleaved, { axes: [axis], starts: [padding], ends: [padding + length] });
}
