import type { Tensor } from "../graph/tensor.js";
import type { Variable } from "../graph/variable.js";
import { linear } from "../ops/matmul.js";
import { Module } from "./module.js";
import { defaultInitializer, parameter } from "./variables.js";

/** Affine layer y = x W^T + b over the last axis, initialized as in PyTorch. */
export class Linear extends Module {
  readonly weight: Variable;
  readonly bias?: Variable;

  constructor(options: {
    readonly inFeatures: number;
    readonly outFeatures: number;
    readonly bias?: boolean;
  }) {
    super();
    const { inFeatures, outFeatures, bias = true } = options;
    this.weight = parameter([outFeatures, inFeatures], defaultInitializer(inFeatures));
    if (bias) this.bias = parameter([outFeatures], defaultInitializer(inFeatures));
  }

  /** @param x [..., inFeatures]  @returns [..., outFeatures] */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}
