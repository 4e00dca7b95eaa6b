import type { Tensor } from "../graph/tensor.js";
import { Module } from "./module.js";

/** A function of one tensor, such as `relu`, as a layer of a sequence. */
export class Activation extends Module {
  readonly #apply: (x: Tensor) => Tensor;

  constructor(apply: (x: Tensor) => Tensor) {
    super();
    this.#apply = apply;
  }

  /** @param x any shape  @returns the same shape */
  forward(x: Tensor): Tensor {
    return this.#apply(x);
  }
}
