import type { Model } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { Module } from "./module.js";

/** A module of one tensor. */
export type Layer = Module & { forward(x: Tensor): Tensor };

/** Layers one after the other; the paths of its parts are their numbers: `downsample.0`. */
export class Sequential extends Module {
  readonly layers: readonly Layer[];

  constructor(...layers: readonly Layer[]) {
    super();
    this.layers = layers;
  }

  override *ownParts(): Generator<readonly [string, Model]> {
    for (const [index, layer] of this.layers.entries()) yield [String(index), layer];
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}
