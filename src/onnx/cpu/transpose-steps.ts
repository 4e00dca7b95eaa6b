import type { Emitter } from "../../graph/emitter.js";
import type { Shape } from "../../graph/size.js";
import { reshapeNode, transposeNode } from "../../ops/nodes.js";

/** Elements that have to stay together for a copy of blocks to be worth it. */
const block = 16;

/**
 * A transposition for ONNX Runtime's CPU, which copies element by element unless one axis moves alone or the last ones stay: in two steps
 * that it is fast at, the second of which exchanges two halves of the axes. Merged axes between them keep it from joining the two.
 * @returns undefined where one step is fast, or two are not
 */
export function transposeInSteps(
  emit: Emitter,
  x: string,
  shape: Shape,
  perm: readonly number[],
): string | undefined {
  if (isFast(perm, shape)) return undefined;
  const fixed = perm.findIndex((axis, index) => axis !== index);
  const moved = perm.slice(fixed);
  const rotations = moved
    .slice(1)
    .map((_, index) => [...perm.slice(0, fixed), ...moved.slice(index + 1), ...moved.slice(0, index + 1)]);
  const first = rotations.find((rotation) => isFast(rotation, shape));
  if (!first) return undefined;
  const sizes = (axes: readonly number[]) => axes.map((axis) => sizeOrFree(shape[axis]!));
  const second = first.indexOf(perm[fixed]!);
  const outer = sizes(first.slice(0, fixed));
  const merged = [...outer, product(sizes(first.slice(fixed, second))), product(sizes(first.slice(second)))];
  const halves = reshapeNode(emit, transposeNode(emit, x, first), merged);
  const exchange = [...outer.keys(), fixed + 1, fixed];
  return reshapeNode(emit, transposeNode(emit, halves, exchange), sizes(perm));
}

/** True where one axis moves alone, or the last ones stay and are many elements. */
function isFast(perm: readonly number[], shape: Shape): boolean {
  const without = (list: readonly number[], axis: number) => list.filter((other) => other !== axis);
  const inOrder = (list: readonly number[]) =>
    list.every((axis, index) => index === 0 || axis > list[index - 1]!);
  const runs = mergedAxes(perm, shape);
  if (runs.perm.some((axis) => inOrder(without(runs.perm, axis)))) return true;
  return runs.perm.at(-1) === runs.perm.length - 1 && runs.last >= block;
}

/** The permutation with neighbours that stay neighbours as one axis and without axes of size 1, and the number of elements of the last. */
function mergedAxes(perm: readonly number[], shape: Shape): { perm: number[]; last: number } {
  const real = perm.filter((axis) => shape[axis] !== 1);
  const order = real.toSorted((a, b) => a - b);
  const rank = real.map((axis) => order.indexOf(axis));
  const starts = rank.filter((axis, index) => index === 0 || axis !== rank[index - 1]! + 1);
  const sorted = starts.toSorted((a, b) => a - b);
  const run = rank.slice(rank.indexOf(starts.at(-1)!)).map((axis) => sizeOrFree(shape[order[axis]!]!));
  return { perm: starts.map((axis) => sorted.indexOf(axis)), last: product(run) };
}

function sizeOrFree(size: Shape[number]): number {
  return typeof size === "number" ? size : -1;
}

function product(sizes: readonly number[]): number {
  return sizes.some((size) => size === -1) ? -1 : sizes.reduce((total, size) => total * size, 1);
}
