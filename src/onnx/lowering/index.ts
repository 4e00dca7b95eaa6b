import { ancestors } from "../../graph/ancestors.js";
import type { Target } from "../../graph/emitter.js";
import { type RewriteRule, rewrite } from "../../graph/rewrite.js";
import type { Tensor } from "../../graph/tensor.js";
import { gelu } from "../../ops/erf.js";
import { layerNorm } from "../../ops/layer-norm.js";
import { matmul } from "../../ops/matmul.js";
import { blockRows } from "./block-rows.js";
import { elements } from "./elements.js";
import { fuseAttention } from "./fuse-attention.js";
import { fuseGelu } from "./fuse-gelu.js";
import { fuseLayerNorm } from "./fuse-layer-norm.js";
import { fuseSelfAttention } from "./fuse-self-attention.js";
import { type AttentionLimits, attentionLimits } from "./limits.js";
import { reassociate } from "./reassociate.js";

/**
 * The tensors in the form that suits a target, of equal values. Attention whose map nothing else reads does without the map: a map that
 * is an output (a tap), or that gradients read, is computed as it is written. Composites whose parts nothing else reads become the
 * operator that ONNX has for them.
 * @returns the tensors in their order
 */
export function lower(
  roots: readonly Tensor[],
  target: Target,
  limits: AttentionLimits = attentionLimits,
): Tensor[] {
  const all = ancestors(roots);
  const rules = [
    ...(readsMaps(all, limits) ? attentionRules(target, limits) : []),
    ...(hasWholes(all) ? wholeRules(target) : []),
  ];
  return rules.length > 0 ? rewrite(roots, rules) : [...roots];
}

function attentionRules({ kind }: Target, limits: AttentionLimits): RewriteRule[] {
  // The fused operators are ONNX Runtime's own. On WebGPU it was off by up to 1e-2 where the heads' width is a multiple of four.
  const fused = kind === "cpu" ? [fuseSelfAttention(limits), fuseAttention(limits)] : [];
  return [reassociate(limits), ...fused, blockRows(limits)];
}

function wholeRules({ kind }: Target): RewriteRule[] {
  // WebGPU has no kernel of Gelu-20, and its normalization takes the variance in one pass.
  if (kind === "webgpu") return [];
  return kind === "cpu" ? [fuseLayerNorm, fuseGelu] : [fuseLayerNorm];
}

/** True where a product reads something computed of a map's size, without which no rule of attention fits. */
function readsMaps(tensors: Iterable<Tensor>, { mapFrom, projectedFrom }: AttentionLimits): boolean {
  const least = Math.min(mapFrom, projectedFrom);
  for (const { op, inputs } of tensors) {
    if (op !== matmul) continue;
    if (inputs.some((operand) => operand.inputs.length > 0 && elements(operand.shape) >= least)) return true;
  }
  return false;
}

/** True where there is something that ONNX has an operator for. */
function hasWholes(tensors: Iterable<Tensor>): boolean {
  for (const { op } of tensors) if (op === layerNorm || op === gelu) return true;
  return false;
}
