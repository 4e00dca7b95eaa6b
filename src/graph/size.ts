import { ShapeError } from "../base/errors.js";

/** A size that is known only at run time: `factor * batch`. Equal factors are the same object. */
export class BatchSize {
  private static readonly known = new Map<number, BatchSize>();
  readonly factor: number;

  private constructor(factor: number) {
    this.factor = factor;
  }

  /** The size `factor * batch`, `factor` a positive integer. */
  static of(factor: number): BatchSize {
    if (!Number.isInteger(factor) || factor < 1) {
      throw new ShapeError(`factor of a batch size: expected an integer >= 1, found ${factor}`);
    }
    const found = BatchSize.known.get(factor);
    if (found) return found;
    const size = new BatchSize(factor);
    BatchSize.known.set(factor, size);
    return size;
  }

  toString(): string {
    return this.factor === 1 ? "batch" : `${this.factor}*batch`;
  }
}

/** The symbolic batch size. */
export const batch = BatchSize.of(1);

/** Size of one axis. */
export type Size = number | BatchSize;

/** Sizes of all axes; at most one of them is symbolic. */
export type Shape = readonly Size[];

/** A shape as it is written in messages: `[batch, 3, 8]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** True where no axis is symbolic. */
export function isConcrete(shape: Shape): shape is readonly number[] {
  return shape.every((size) => typeof size === "number");
}

/** The shape itself if no axis is symbolic. @throws ShapeError otherwise */
export function concreteShape(shape: Shape): readonly number[] {
  if (!isConcrete(shape)) throw new ShapeError(`needs a concrete batch, found ${formatShape(shape)}`);
  return shape;
}

/** Refuses sizes that are no integers >= 1, and a second symbolic size. */
export function checkSizes(shape: Shape): void {
  if (shape.some((size) => typeof size === "number" && !(Number.isSafeInteger(size) && size >= 1))) {
    throw new ShapeError(`sizes must be integers >= 1, found ${formatShape(shape)}`);
  }
  if (shape.filter((size) => typeof size !== "number").length > 1) {
    throw new ShapeError(`a tensor can have one symbolic size, found ${formatShape(shape)}`);
  }
}

/** True for shapes of equal sizes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** Product of two sizes. @throws ShapeError where both are symbolic */
export function multiplySizes(a: Size, b: Size): Size {
  if (typeof a === "number") return typeof b === "number" ? a * b : BatchSize.of(b.factor * a);
  if (typeof b === "number") return BatchSize.of(a.factor * b);
  throw new ShapeError(`a tensor can have one symbolic size, found the product of ${a} and ${b}`);
}

/** Number of elements, possibly symbolic. */
export function sizeOf(shape: Shape): Size {
  return shape.reduce<Size>(multiplySizes, 1);
}

/** `a / b` where it is a whole number of rows, else undefined. */
export function divideSizes(a: Size, b: Size): Size | undefined {
  if (typeof a === "number") {
    if (typeof b !== "number" || b === 0 || a % b !== 0) return undefined;
    return a / b;
  }
  if (typeof b === "number") return b > 0 && a.factor % b === 0 ? BatchSize.of(a.factor / b) : undefined;
  return a.factor % b.factor === 0 ? a.factor / b.factor : undefined;
}

/** Axis counted from the front; negative axes count from the back. @throws ShapeError out of range */
export function normalizeAxis(axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError(`axis ${axis} is out of range for rank ${rank}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Sorted, distinct axes counted from the front; all axes by default. */
export function normalizeAxes(axes: readonly number[] | undefined, rank: number): number[] {
  const all = axes ?? Array.from({ length: rank }, (_, axis) => axis);
  const result = all.map((axis) => normalizeAxis(axis, rank)).sort((a, b) => a - b);
  const twice = result.find((axis, index) => axis === result[index + 1]);
  if (twice !== undefined) throw new ShapeError(`axis ${twice} is named twice`);
  return result;
}

/** Shape of an element-wise result: sizes must be equal or 1, aligned at the last axis. */
export function broadcastShapes(...shapes: Shape[]): Shape {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    const wide = sizes.filter((size) => size !== 1);
    if (wide.some((size) => size !== wide[0])) {
      throw new ShapeError(`axis ${axis} is ${sizes.join(" and ")}; sizes must be equal or 1`);
    }
    return wide[0] ?? 1;
  });
}
