import { sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { withScope } from "../graph/trace.js";
import { add } from "./arithmetic.js";
import { concat, pad } from "./shape.js";

/** Sums of the parts of cotangents, by tensor. */
export class Cotangents {
  /** A sum for each shape: parts that are still to be stretched are added up before they meet larger ones, a pass over each large part less. */
  readonly #sums = new Map<Tensor, Tensor[]>();
  /** What slices of a tensor have given, filled with zeros to its shape. */
  readonly #padded = new Map<Tensor, Tensor[]>();

  add(tensor: Tensor, part: Tensor): void {
    if (paddedAxis(part) === undefined) {
      this.#addWhole(tensor, part);
      return;
    }
    const parts = this.#padded.get(tensor) ?? [];
    parts.push(part);
    this.#padded.set(tensor, parts);
  }

  /** The sum of what was added; undefined where nothing was. */
  get(tensor: Tensor): Tensor | undefined {
    const parts = this.#padded.get(tensor) ?? [];
    this.#padded.delete(tensor);
    const joined = joinedTiles(parts);
    for (const part of joined ? [joined] : parts) this.#addWhole(tensor, part);
    const sums = this.#sums.get(tensor);
    if (sums === undefined) return undefined;
    const total = sums.reduce((sofar, sum) => add(sofar, sum));
    this.#sums.set(tensor, [total]);
    return total;
  }

  delete(tensor: Tensor): void {
    this.#sums.delete(tensor);
  }

  #addWhole(tensor: Tensor, part: Tensor): void {
    const sums = this.#sums.get(tensor) ?? [];
    this.#sums.set(tensor, sums);
    const same = sums.findIndex(({ shape }) => sameShape(shape, part.shape));
    if (same < 0) sums.push(part);
    else sums[same] = add(sums[same]!, part);
  }
}

/** The single axis along which a tensor is another one between zeros. */
function paddedAxis(tensor: Tensor): number | undefined {
  if (tensor.op !== pad || tensor.attributes.value !== 0) return undefined;
  const padded = tensor.inputs[0]!.shape.flatMap((size, axis) => (size === tensor.shape[axis] ? [] : [axis]));
  return padded.length === 1 ? padded[0] : undefined;
}

/** The sum of padded tensors whose contents lie one after the other along an axis: the contents, without the zeros. */
function joinedTiles(parts: readonly Tensor[]): Tensor | undefined {
  const [first] = parts;
  if (first === undefined) return undefined;
  const axis = paddedAxis(first);
  if (axis === undefined || parts.some((part) => paddedAxis(part) !== axis)) return undefined;
  const start = (part: Tensor) => (part.attributes.pads as readonly number[])[axis]!;
  const ordered = parts.toSorted((a, b) => start(a) - start(b));
  let end = 0;
  for (const part of ordered) {
    if (start(part) !== end) return undefined;
    end += part.inputs[0]!.size(axis);
  }
  if (end !== first.size(axis)) return undefined;
  const contents = ordered.map((part) => part.inputs[0]!);
  return withScope(first.scope, () => concat(contents, { axis }));
}
