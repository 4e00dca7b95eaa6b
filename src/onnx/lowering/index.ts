import { ancestors } from "../../graph/ancestors.js";
import type { Target } from "../../graph/emitter.js";
import { type RewriteRule, rewrite } from "../../graph/rewrite.js";
import type { Tensor } from "../../graph/tensor.js";
import { matmul } from "../../ops/matmul.js";
import { blockRows } from "./block-rows.js";
import { elements } from "./elements.js";
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
  return readsMaps(roots, limits) ? rewrite(roots, attentionRules(target, limits)) : [...roots];
}

function attentionRules({ kind }: Target, limits: AttentionLimits): RewriteRule[] {
  // The fused operator is ONNX Runtime's own. On WebGPU it was off by up to 1e-2 where the heads' width is a multiple of four.
  const fused = kind === "cpu" ? [fuseAttention(limits)] : [];
  return [reassociate(limits), ...fused, blockRows(limits)];
}

/** True where a product reads something computed of a map's size, without which no rule fits. */
function readsMaps(roots: readonly Tensor[], { mapFrom }: AttentionLimits): boolean {
  for (const { op, inputs } of ancestors(roots)) {
    if (op !== matmul) continue;
    if (inputs.some((operand) => operand.inputs.length > 0 && elements(operand.shape) >= mapFrom))
      return true;
  }
  return false;
}
