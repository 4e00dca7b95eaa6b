import { constantOp, variableOp } from "./leaf.js";
import { defineOp, type Op } from "./operator.js";
import { Tensor } from "./tensor.js";

/**
 * A result of a region of the graph that the backward pass computes again. Operands: the result, and the boundary, which is all that
 * the region reads from outside. Stands for the result; only the building of gradients sees the difference.
 */
const regionResult: Op<Tensor[], { region: number }> = defineOp("checkpoint", {
  type: ([result]) => ({ shape: result!.shape, dtype: result!.dtype }),
  expand: ([result]) => result!,
  macs: 0,
  // Of integers: gradients of floats are built from the region, which a sample does not have.
  samples: [{ inputs: [{ shape: [2, 3], dtype: "int64", below: 5 }], attributes: { region: 0 } }],
});

let regions = 0;

/** Results of one region: each stands for its operand, and the gradients of all of them are built together. */
export function regionResults(results: readonly Tensor[], isInside: (tensor: Tensor) => boolean): Tensor[] {
  const region = regions++;
  return results.map((result) => regionResult.apply([result, ...boundaryOf(result, isInside)], { region }));
}

/** What a region's result is computed from, where its computation begins; constants left out. */
function boundaryOf(result: Tensor, isInside: (tensor: Tensor) => boolean): Tensor[] {
  const boundary = new Set<Tensor>();
  visitInside([result], (tensor) => {
    if (isInside(tensor) && tensor.inputs.length > 0) return true;
    if (tensor.op !== constantOp) boundary.add(tensor);
    return false;
  });
  return [...boundary];
}

/** The region of which a tensor is a result, or undefined. */
export function regionOf({ op, attributes }: Tensor): number | undefined {
  return op === regionResult ? (attributes.region as number) : undefined;
}

/** A part of the graph: what is computed, from where on. */
export interface Region {
  readonly results: readonly Tensor[];
  readonly boundary: ReadonlySet<Tensor>;
}

/** The region of some of its results as `regionResults` gave them. */
export function regionBehind(marked: readonly Tensor[]): Region {
  return {
    results: marked.map(({ inputs }) => inputs[0]!),
    boundary: new Set(marked.flatMap(({ inputs }) => inputs.slice(1))),
  };
}

/** What a region computes, operands first. */
export function regionCalls({ results, boundary }: Region): Tensor[] {
  const calls: Tensor[] = [];
  visitInside(results, (tensor) => {
    const inside = !boundary.has(tensor) && tensor.inputs.length > 0;
    if (inside) calls.push(tensor);
    return inside;
  });
  return calls.sort((a, b) => a.id - b.id);
}

/**
 * The calls of a region once more, from other tensors in place of its boundary.
 * @param replaced by tensor of the boundary; tensors that are not named stay
 * @returns the new results
 */
export function repeatRegion(region: Region, replaced: ReadonlyMap<Tensor, Tensor>): Tensor[] {
  const copies = new Map(replaced);
  const copyOf = (tensor: Tensor) => copies.get(tensor) ?? tensor;
  // Checkpoints inside have regions of their own, which consist of copies.
  const renumbered = new Map<number, number>();
  for (const call of regionCalls(region)) {
    const { op, shape, dtype, scope } = call;
    const inner = regionOf(call);
    if (inner !== undefined && !renumbered.has(inner)) renumbered.set(inner, regions++);
    const attributes = inner === undefined ? call.attributes : { region: renumbered.get(inner)! };
    copies.set(call, new Tensor({ op, inputs: call.inputs.map(copyOf), attributes, shape, dtype, scope }));
  }
  return region.results.map(copyOf);
}

/** True for tensors whose values are not there before a step: everything but parameters, buffers and constants. */
export function isActivation({ op }: Tensor): boolean {
  return op !== variableOp && op !== constantOp;
}

/** Visits tensors, and the operands of those for which `enter` says so; each once. */
function visitInside(roots: readonly Tensor[], enter: (tensor: Tensor) => boolean): void {
  const visited = new Set<Tensor>();
  const pending = [...roots];
  for (let tensor = pending.pop(); tensor; tensor = pending.pop()) {
    if (visited.has(tensor)) continue;
    visited.add(tensor);
    if (enter(tensor)) pending.push(...tensor.inputs);
  }
}
