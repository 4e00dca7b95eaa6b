import type { Tensor } from "../graph/tensor.js";
import type { Variable } from "../graph/variable.js";
import { layerNorm } from "../ops/layer-norm.js";
import { Module } from "./module.js";
import { constantValue, parameter } from "./variables.js";

/** Layer normalization over the last axis, with the biased variance. Ba, Kiros, Hinton 2016, arXiv:1607.06450. */
export class LayerNorm extends Module {
  readonly weight: Variable;
  readonly bias: Variable;
  readonly #epsilon: number;

  constructor({ size, epsilon = 1e-5 }: { readonly size: number; readonly epsilon?: number }) {
    super();
    this.weight = parameter([size], constantValue(1));
    this.bias = parameter([size], constantValue(0));
    this.#epsilon = epsilon;
  }

  /** @param x [..., size]  @returns [..., size] */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { epsilon: this.#epsilon });
  }
}
