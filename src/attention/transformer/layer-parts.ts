import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Dropout } from "../../nn/dropout.js";
import { LayerNorm } from "../../nn/layer-norm.js";
import { Linear } from "../../nn/linear.js";
import { relu } from "../../ops/activation.js";
import { add } from "../../ops/arithmetic.js";
import { gelu } from "../../ops/erf.js";
import { dropRate, flag, positive, size } from "../options.js";
import { MultiHeadAttention } from "./mha.js";

const activations = { relu, gelu };

/** Options of the layers of an encoder and a decoder. */
export const layerOptions = z
  .strictObject({
    embedDim: size,
    heads: size,
    feedForwardDim: z._default(size, 2048),
    activation: z._default(z.enum(["relu", "gelu"]), "relu"),
    normFirst: flag(false),
    layerNormEps: z._default(positive, 1e-5),
    dropout: z._default(dropRate, 0.1),
  })
  .check(z.refine((o) => o.embedDim % o.heads === 0, { error: "must divide embedDim", path: ["heads"] }));

export type LayerOptions = z.output<typeof layerOptions>;

/** What the options forbid. */
export const refusedLayerOptions = [
  { embedDim: 0 },
  { heads: 0 },
  { heads: 5 },
  { feedForwardDim: 0 },
  { activation: "tanh" },
  { layerNormEps: 0 },
  { dropout: 1 },
] as const;

/** Values of the feed-forward network and of `norms` normalizations. */
export function outerParameters({ embedDim: e, feedForwardDim: f }: LayerOptions, norms: number): number {
  return 2 * e * f + f + e + 2 * norms * e;
}

/** An attention of the layer's width. */
export function layerAttention({ embedDim, heads, dropout }: LayerOptions): MultiHeadAttention {
  return new MultiHeadAttention({ embedDim, heads, dropout });
}

/** A normalization of the layer's width. */
export function layerNormalization({ embedDim, layerNormEps }: LayerOptions): LayerNorm {
  return new LayerNorm({ size: embedDim, epsilon: layerNormEps });
}

/** What a layer has beside its attentions and normalizations. */
export interface FeedForwardParts {
  readonly options: LayerOptions;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly drop: Dropout;
}

/** The feed-forward network's parts. */
export function feedForwardParts({ embedDim, feedForwardDim, dropout }: LayerOptions) {
  return {
    linear1: new Linear({ inFeatures: embedDim, outFeatures: feedForwardDim }),
    linear2: new Linear({ inFeatures: feedForwardDim, outFeatures: embedDim }),
    drop: new Dropout({ rate: dropout }),
  };
}

/** Two affine maps of each token with an activation between them. Vaswani et al. 2017, eq. 2. */
export function feedForward(x: Tensor, { options, linear1, linear2, drop }: FeedForwardParts): Tensor {
  return linear2.forward(drop.forward(activations[options.activation](linear1.forward(x))));
}

/** A branch beside the identity: norm(x + branch(x)), or x + branch(norm(x)) where the norm is first. */
export function residual(
  x: Tensor,
  { norm, options, drop }: { readonly norm: LayerNorm } & Pick<FeedForwardParts, "options" | "drop">,
  branch: (x: Tensor) => Tensor,
): Tensor {
  if (options.normFirst) return add(x, drop.forward(branch(norm.forward(x))));
  return norm.forward(add(x, drop.forward(branch(x))));
}
