import type { Uses } from "../../graph/rewrite.js";
import type { Tensor } from "../../graph/tensor.js";
import { mul } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { transpose } from "../../ops/shape.js";
import { withScalar } from "./scalars.js";

/** A product of weights with what they weigh: weights value, [..., L, S] [..., S, E]. */
export interface WeightedSum {
  readonly weights: Tensor;
  readonly value: Tensor;
  /** The call's result from the rows [..., L, E]: itself, or its last two axes exchanged. */
  finish(rows: Tensor): Tensor;
}

/** The last two axes exchanged, undone where it is such an exchange. */
export function exchanged(tensor: Tensor): Tensor {
  return isExchange(tensor) ? tensor.inputs[0]! : swapLast(tensor);
}

function isExchange({ op, rank, attributes }: Tensor): boolean {
  if (op !== transpose || rank < 2) return false;
  const perm = attributes.perm as readonly number[];
  return perm.every((axis, at) => axis === (at < rank - 2 ? at : 2 * rank - 3 - at));
}

/** Both ways in which a call can be a weighted sum whose weights nothing else reads: weights value, or value^T weights^T. */
export function weightedSums(call: Tensor, uses: Uses): WeightedSum[] {
  if (call.op !== matmul) return [];
  const [left, right] = call.inputs as [Tensor, Tensor];
  const found: WeightedSum[] = [];
  if (uses(left) === 1) found.push({ weights: left, value: right, finish: (rows) => rows });
  const [inner] = right.inputs;
  if (inner && isExchange(right) && uses(right) === 1 && uses(inner) === 1) {
    found.push({ weights: inner, value: exchanged(left), finish: swapLast });
  }
  return found;
}

/** A tensor without its factors that are constant numbers, and their product; only through what nothing else reads. */
export function withoutScale(tensor: Tensor, uses: Uses): { tensor: Tensor; scale: number } {
  let [inner, scale] = [tensor, 1];
  while (uses(inner) === 1) {
    const scaled = withScalar(inner, mul);
    if (scaled === undefined) break;
    inner = scaled.tensor;
    scale *= scaled.scalar;
  }
  return { tensor: inner, scale };
}
