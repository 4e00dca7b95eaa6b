import type { Tensor } from "../graph/tensor.js";
import type { Initializer, Variable } from "../graph/variable.js";
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
    /** Initial weight and bias; uniform in ±1/sqrt(inFeatures) by default. */
    readonly initializer?: Initializer;
    /** Initial bias where it differs from the weight's. */
    readonly biasInitializer?: Initializer;
  }) {
    super();
    const { inFeatures, outFeatures, bias = true } = options;
    const { initializer = defaultInitializer(inFeatures), biasInitializer = initializer } = options;
    this.weight = parameter([outFeatures, inFeatures], initializer);
    if (bias) this.bias = parameter([outFeatures], biasInitializer);
  }

  /** @param x [..., inFeatures]  @returns [..., outFeatures] */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}
