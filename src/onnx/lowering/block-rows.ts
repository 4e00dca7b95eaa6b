import type { RewriteRule, Uses } from "../../graph/rewrite.js";
import type { Tensor } from "../../graph/tensor.js";
import { matmul } from "../../ops/matmul.js";
import { concat, slice } from "../../ops/shape.js";
import { blockRanges } from "./blocks.js";
import { elements } from "./elements.js";
import type { AttentionLimits } from "./limits.js";
import { partAttributes, rowOperands } from "./row-operands.js";

/**
 * A product over a large map in blocks of rows, so that only one block of the map is held at a time: everything from which the map is
 * computed row by row and that nothing else reads (scores of any kind, masks, softmax) is computed block by block.
 */
export function blockRows({ mapFrom, blockElements, leastRatio }: AttentionLimits): RewriteRule {
  return (call, uses) => {
    if (call.op !== matmul) return undefined;
    for (const axis of [call.rank - 2, call.rank - 1]) {
      if (typeof call.shape[axis] !== "number") continue;
      const plan = planOf(call, { axis, uses, from: mapFrom });
      const [largest] = [...plan.keys()].sort((a, b) => elements(b.shape) - elements(a.shape)) as [Tensor];
      const least = Math.max(blockElements, leastRatio * elements(call.shape));
      // Parts of something that is there as a whole save little.
      const isMadeHere = [...plan.keys()].some((tensor) => tensor !== call && grows(tensor));
      if (!isMadeHere || elements(largest.shape) <= least) continue;
      const ranges = blockRanges(largest.shape, { axis: plan.get(largest)!, limit: blockElements });
      return concat(
        ranges.map((range) => partOf(call, { axis, range, plan })),
        { axis },
      );
    }
    return undefined;
  };
}

/** Axis of the rows of each tensor that is computed block by block. */
type Plan = ReadonlyMap<Tensor, number>;

/** True for a call whose result is larger than what it is computed from: pairs of positions from positions. */
function grows({ inputs, shape }: Tensor): boolean {
  return inputs.every((operand) => 2 * elements(operand.shape) <= elements(shape));
}

/** True for a tensor of so many elements, and for what a few calls make of one: the largest score of a row, whether a row is hidden. */
function readsLarge({ inputs, shape }: Tensor, from: number, steps = 3): boolean {
  if (elements(shape) >= from) return true;
  return steps > 0 && inputs.some((operand) => readsLarge(operand, from, steps - 1));
}

/** What can be computed block by block: the call, and what lies behind it that nothing outside of the plan reads. */
function planOf(
  call: Tensor,
  options: { readonly axis: number; readonly uses: Uses; readonly from: number },
): Plan {
  const { axis, uses, from } = options;
  const plan = new Map([[call, axis]]);
  const reads = new Map<Tensor, (number | null)[]>();
  const open = new Set([call]);
  while (open.size > 0) {
    // The latest first, so that all its readers have been seen.
    const tensor = [...open].reduce((a, b) => (a.id > b.id ? a : b));
    open.delete(tensor);
    if (tensor !== call) {
      const axes = reads.get(tensor)!;
      const own = axes[0];
      const alone = axes.length === uses(tensor) && axes.every((other) => other === own);
      if (own == null || !alone || !readsLarge(tensor, from)) continue;
      if (tensor.inputs.length === 0 || !rowOperands(tensor, own)) continue;
      plan.set(tensor, own);
      // What a map is made of is small.
      if (grows(tensor)) continue;
    }
    const operandAxes = rowOperands(tensor, plan.get(tensor)!)!;
    for (const [index, operand] of tensor.inputs.entries()) {
      reads.set(operand, [...(reads.get(operand) ?? []), operandAxes[index]!]);
      open.add(operand);
    }
  }
  return plan;
}

/** A range of a call's result along an axis: what is planned is computed from ranges of its operands, the rest is cut out. */
function partOf(
  call: Tensor,
  options: { readonly axis: number; readonly range: readonly [number, number]; readonly plan: Plan },
): Tensor {
  const { axis, range, plan } = options;
  const [start, end] = range;
  const parts = new Map<Tensor, Tensor>();
  const part = (operand: Tensor, along: number | null): Tensor => {
    if (along === null) return operand;
    if (!plan.has(operand)) return slice(operand, { axes: [along], starts: [start], ends: [end] });
    const made = parts.get(operand) ?? computed(operand, along);
    parts.set(operand, made);
    return made;
  };
  const computed = (tensor: Tensor, along: number): Tensor => {
    const axes = rowOperands(tensor, along)!;
    const operands = tensor.inputs.map((operand, index) => part(operand, axes[index]!));
    return tensor.op.apply(operands, partAttributes(tensor, along, end - start));
  };
  return computed(call, axis);
}
