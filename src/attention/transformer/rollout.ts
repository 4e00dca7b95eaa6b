import { ShapeError } from "../../base/errors.js";
import { constant } from "../../graph/constant.js";
import type { Tensor } from "../../graph/tensor.js";
import { add, mul } from "../../ops/arithmetic.js";
import { matmul } from "../../ops/matmul.js";
import { meanOverHeads } from "./heads.js";

/** Half of the identity: what a token keeps of itself beside the attention. */
function residualPart(tokens: number): Tensor {
  const values = Array.from({ length: tokens * tokens }, (_, index) =>
    index % (tokens + 1) === 0 ? 0.5 : 0,
  );
  return constant(values, { shape: [tokens, tokens] });
}

/**
 * Attention rollout: how much of each input token is in each token after all layers, the identity branches counted as one half.
 * Abnar, Zuidema: Quantifying Attention Flow in Transformers, ACL 2020, arXiv:2005.00928, section 3; the mean over heads stands for a layer.
 * @param attentions [N, heads, T, T] of each layer, the first layer first
 * @returns [N, T, T], rows sum to 1
 * @throws ShapeError without layers
 */
export function attentionRollout(attentions: readonly Tensor[]): Tensor {
  const [first] = attentions;
  if (!first) throw new ShapeError("attention rollout needs at least one layer");
  const kept = residualPart(first.size(-1));
  return attentions
    .map((attention) => add(mul(meanOverHeads(attention), 0.5), kept))
    .reduce((rollout, layer) => matmul(layer, rollout));
}
