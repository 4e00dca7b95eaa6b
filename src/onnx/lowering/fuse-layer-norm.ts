import type { RewriteRule, Uses } from "../../graph/rewrite.js";
import { sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { add, mul, reciprocal, sqrt, sub } from "../../ops/arithmetic.js";
import { fusedLayerNorm } from "../../ops/fused-layer-norm.js";
import { mean } from "../../ops/reduce.js";
import { bothOrders } from "./both-orders.js";
import { withScalar } from "./scalars.js";

/**
 * (x - mean) / sqrt(variance + epsilon) * scale + bias over the last axes as one operator, where nothing else reads the parts, as gradients
 * do. Ten passes become one, and it is no less exact.
 */
export const fuseLayerNorm: RewriteRule = (call, uses) => {
  for (const [scaled, bias] of bothOrders(call, add)) {
    if (uses(scaled) > 1) continue;
    for (const [standard, scale] of bothOrders(scaled, mul)) {
      const found = uses(standard) > 1 ? undefined : standardized(standard, uses);
      if (found === undefined) continue;
      const { x, axes, epsilon } = found;
      const own = x.shape.slice(axes[0]!);
      const fits = [scale, bias].every(({ shape }) => sameShape(shape, own));
      if (fits && axes.length === own.length) return fusedLayerNorm(x, scale, bias, { epsilon });
    }
  }
  return undefined;
};

/** What a tensor is the standardized form of: (x - mean) * (1 / sqrt(mean of squares + epsilon)), over the same axes. */
function standardized(
  tensor: Tensor,
  uses: Uses,
): { x: Tensor; axes: readonly number[]; epsilon: number } | undefined {
  for (const [centered, inverse] of bothOrders(tensor, mul)) {
    if (centered.op !== sub || inverse.op !== reciprocal || inverse.inputs[0]!.op !== sqrt) continue;
    const [x, center] = centered.inputs as [Tensor, Tensor];
    const deviation = inverse.inputs[0]!;
    const padded = withScalar(deviation.inputs[0]!, add);
    const variance = padded?.tensor;
    const squares = variance?.inputs[0];
    if (variance?.op !== mean || squares?.op !== mul || center.op !== mean) continue;
    if (center.inputs[0] !== x || squares.inputs.some((factor) => factor !== centered)) continue;
    const parts = [inverse, deviation, deviation.inputs[0]!, variance, squares, center];
    // The centered values are read by their squares, twice, and by the product.
    if (uses(centered) > 3 || parts.some((part) => uses(part) > 1)) continue;
    const { axes } = center.attributes as { axes: readonly number[] };
    const isAligned = center.rank === x.rank && sameShape(center.shape, variance.shape);
    if (isAligned) return { x, axes, epsilon: padded!.scalar };
  }
  return undefined;
}
