import type { Uses } from "../../graph/rewrite.js";
import { sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { mul } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
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
function exchanged(tensor: Tensor): Tensor {
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

/** softmax(scale * query key^T) value: [..., L, D], [..., S, D], [..., S, E]. */
export interface SoftmaxAttention extends WeightedSum {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly scale: number;
}

/** The ways in which a call can be attention whose map nothing else reads, with a scale other than 0 and sizes of one batch. */
export function softmaxAttentions(call: Tensor, uses: Uses): SoftmaxAttention[] {
  return weightedSums(call, uses).flatMap((sum) => {
    const { weights, value } = sum;
    if (weights.op !== softmax || weights.attributes.axis !== weights.rank - 1) return [];
    const { tensor: scores, scale: outer } = withoutScale(weights.inputs[0]!, uses);
    if (scores.op !== matmul || uses(scores) > 1) return [];
    const { tensor: query, scale: inner } = withoutScale(scores.inputs[0]!, uses);
    const key = exchanged(scores.inputs[1]!);
    const scale = outer * inner;
    const batch = weights.shape.slice(0, -2);
    const agree = [query, key, value].every(({ shape }) => sameShape(shape.slice(0, -2), batch));
    return agree && Number.isFinite(scale) && scale !== 0 ? [{ ...sum, query, key, scale }] : [];
  });
}

/** True where the map of a matrix of queries is at most `ratio` times as large as its operands and results are together. */
export function hasSmallMap(
  { query, key, value }: Pick<SoftmaxAttention, "query" | "key" | "value">,
  ratio: number,
): boolean {
  const [length, keyLength] = [query.size(-2), key.size(-2)];
  const [width, valueWidth] = [query.size(-1), value.size(-1)];
  return length * keyLength <= ratio * (length + keyLength) * (width + valueWidth);
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
