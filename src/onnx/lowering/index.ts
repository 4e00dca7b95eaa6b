import { ancestors } from "../../graph/ancestors.js";
import type { Target } from "../../graph/emitter.js";
import { type RewriteRule, rewrite } from "../../graph/rewrite.js";
import type { Tensor } from "../../graph/tensor.js";
import { matmul } from "../../ops/matmul.js";
import { blockRows } from "./block-rows.js";
import { fuseAttention } from "./fuse-attention.js";
import { type AttentionLimits, attentionLimits } from "./limits.js";
import { reassociate } from "./reassociate.js";

/**
 * The tensors in the form that suits a target, of equal values. Attention whose map nothing else reads does without the map: a map that
 * is an output (a tap), or that gradients read, is computed as it is written.
 * @returns the tensors in their order
 */
export function lower(
  roots: readonly Tensor[],
  target: Target,
  limits: AttentionLimits = attentionLimits,
): Tensor[] {
  return hasProducts(roots) ? rewrite(roots, attentionRules(target, limits)) : [...roots];
}

function attentionRules({ kind }: Target, limits: AttentionLimits): RewriteRule[] {
  // The fused operator is ONNX Runtime's own.
  const fused = kind === "portable" ? [] : [fuseAttention(limits)];
  return [reassociate(limits), ...fused, blockRows(limits)];
}

/** True where a product of a product is to be found, without which no rule fits. */
function hasProducts(roots: readonly Tensor[]): boolean {
  let count = 0;
  for (const { op } of ancestors(roots)) if (op === matmul) count++;
  return count > 1;
}
