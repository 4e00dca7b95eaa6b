import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { LayerNorm } from "../../nn/layer-norm.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { constantValue, normal, parameter } from "../../nn/variables.js";
import { add, mul } from "../../ops/arithmetic.js";
import { gelu } from "../../ops/erf.js";
import { swapLast } from "../../ops/matmul.js";
import { reshape } from "../../ops/shape.js";
import { FusedHeads } from "./fused-heads.js";

/** Initial weights and biases of timm's vision transformers. Its normal is cut at 2, a hundred deviations. */
export const initial = { initializer: normal(0.02), biasInitializer: constantValue(0) };

/** Patches of an image as tokens: a convolution of the patches' size and stride. */
export class PatchEmbed extends Module {
  readonly proj: Conv2d;

  constructor(options: { inChannels: number; embedDim: number; patchSize: number; bias: boolean }) {
    super();
    const { inChannels, embedDim: outChannels, patchSize, bias } = options;
    this.proj = new Conv2d({ inChannels, outChannels, kernel: patchSize, stride: patchSize, bias });
  }

  /** @param x [N, C, H, W]  @returns [N, T, D], row by row */
  forward(x: Tensor): Tensor {
    const grid = this.proj.forward(x); // [N, D, H/P, W/P]
    return swapLast(reshape(grid, { shape: [-1, grid.size(1), grid.size(2) * grid.size(3)] }));
  }
}

/** A learned factor per channel. Touvron et al.: Going deeper with Image Transformers, ICCV 2021, arXiv:2103.17239. */
class LayerScale extends Module {
  readonly gamma: Variable;

  constructor({ width, value }: { width: number; value: number }) {
    super();
    this.gamma = parameter([width], constantValue(value));
  }

  /** @param x [..., D]  @returns [..., D] */
  forward(x: Tensor): Tensor {
    return mul(x, this.gamma);
  }
}

/** Two affine maps of each token with a GELU between them. */
class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor({ width, hidden }: { width: number; hidden: number }) {
    super();
    this.fc1 = new Linear({ ...initial, inFeatures: width, outFeatures: hidden });
    this.fc2 = new Linear({ ...initial, inFeatures: hidden, outFeatures: width });
  }

  /** @param x [..., D]  @returns [..., D] */
  forward(x: Tensor): Tensor {
    return this.fc2.forward(gelu(this.fc1.forward(x)));
  }
}

/** Options of a block. */
export interface VitBlockOptions {
  readonly embedDim: number;
  readonly heads: number;
  readonly hiddenDim: number;
  readonly qkvBias: boolean;
  readonly qkNorm: boolean;
  readonly layerNormEps: number;
  /** Initial factor of the branches; none: they have no factor. */
  readonly initValues?: number | null | undefined;
}

/** Encoder block with the norms first: x + attention(norm(x)), then x + mlp(norm(x)). Dosovitskiy et al. 2021, eq. 2 and 3. */
export class VitBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: FusedHeads;
  readonly ls1?: LayerScale;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly ls2?: LayerScale;

  constructor(options: VitBlockOptions) {
    super();
    const { embedDim, heads, hiddenDim, layerNormEps: epsilon, initValues } = options;
    this.norm1 = new LayerNorm({ size: embedDim, epsilon });
    this.attn = new FusedHeads({
      ...initial,
      embedDim,
      heads,
      headDim: embedDim / heads,
      dimOut: embedDim,
      qkvBias: options.qkvBias,
      projBias: true,
      qkNorm: options.qkNorm,
      scaleNorm: false,
      gated: false,
      dropout: 0,
      epsilon,
    });
    this.norm2 = new LayerNorm({ size: embedDim, epsilon });
    this.mlp = new Mlp({ width: embedDim, hidden: hiddenDim });
    if (initValues != null) {
      this.ls1 = new LayerScale({ width: embedDim, value: initValues });
      this.ls2 = new LayerScale({ width: embedDim, value: initValues });
    }
  }

  /** @param x [N, T, D]  @returns y [N, T, D] and attention [N, heads, T, T] */
  encode(x: Tensor): { y: Tensor; attention: Tensor } {
    const { y: attended, attention } = this.attn.attend({ query: this.tap("input", this.norm1.forward(x)) });
    const middle = add(x, this.ls1?.forward(attended) ?? attended);
    const mixed = this.mlp.forward(this.norm2.forward(middle));
    return { y: add(middle, this.ls2?.forward(mixed) ?? mixed), attention };
  }
}
