import type { RewriteRule } from "../../graph/rewrite.js";
import { sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { mul } from "../../ops/arithmetic.js";
import { matmul } from "../../ops/matmul.js";
import { weightedSums, withoutScale } from "./attention-pattern.js";
import { elements } from "./elements.js";
import type { AttentionLimits } from "./limits.js";

/**
 * (s a b) c as a (s b c), and c (s a b) as (s c a) b, where that takes fewer multiply-accumulates and nothing else reads the product of a
 * and b: attention without a softmax between its products needs no map at all.
 */
export function reassociate({ mapFrom }: AttentionLimits): RewriteRule {
  return (call, uses) => {
    if (call.op !== matmul) return undefined;
    const [left, right] = call.inputs as [Tensor, Tensor];
    const sums = weightedSums(call, uses);
    if (uses(right) === 1) sums.push({ weights: right, value: left, finish: (rows) => rows });
    for (const { weights, value, finish } of sums) {
      const { tensor: product, scale } = withoutScale(weights, uses);
      if (product.op !== matmul || uses(product) > 1) continue;
      const fromLeft = weights === right;
      const [a, b] = product.inputs as [Tensor, Tensor];
      const outer = product.shape.slice(0, -2);
      if (![a, b, value].every(({ shape }) => sameShape(shape.slice(0, -2), outer))) continue;
      // The product's axis that stays, and the one that is summed over with the value.
      const [first, last] = lastSizes(product);
      const [kept, summed] = fromLeft ? [last, first] : [first, last];
      const inner = lastSizes(a)[1];
      const columns = fromLeft ? lastSizes(value)[0] : lastSizes(value)[1];
      const isCheaper = inner * columns * (kept + summed) < first * last * (inner + columns);
      if (first * last < mapFrom || !isCheaper) continue;
      const summary = fromLeft ? matmul(value, a) : matmul(b, value);
      const scaled = scale === 1 ? summary : mul(summary, scale);
      return finish(fromLeft ? matmul(scaled, b) : matmul(a, scaled));
    }
    return undefined;
  };
}

/** The last two sizes; of one sample where one is symbolic. */
function lastSizes({ shape }: Tensor): [rows: number, columns: number] {
  const [rows, columns] = shape.slice(-2).map((size) => elements([size]));
  return [rows!, columns!];
}
