import type { Tensor } from "../graph/tensor.js";
import { currentScope } from "../graph/trace.js";
import { checkDropoutRate, dropout } from "../ops/random.js";
import { Module } from "./module.js";

/** Dropout in training, the identity otherwise. Along `sharedAxes` (2 and 3: channel dropout) all elements share one fate. */
export class Dropout extends Module {
  readonly rate: number;
  readonly sharedAxes: readonly number[];

  /** @throws OptionError for a rate outside of [0, 1) */
  constructor({ rate, sharedAxes = [] }: { readonly rate: number; readonly sharedAxes?: readonly number[] }) {
    super();
    checkDropoutRate(rate);
    this.rate = rate;
    this.sharedAxes = sharedAxes;
  }

  /** @param x any shape  @returns the same shape */
  forward(x: Tensor): Tensor {
    if (!this.training || this.rate === 0) return x;
    return dropout(x, { rate: this.rate, sharedAxes: this.sharedAxes, stream: currentScope() });
  }
}
