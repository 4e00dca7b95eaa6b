import type { HostTensor } from "../../src/base/dtype.js";
import { elementCount } from "../../src/base/dtype.js";
import { initialize } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { tanh } from "../../src/ops/activation.js";
import { reshape } from "../../src/ops/shape.js";

/** Logits W x + b of the flattened image. */
export class LinearClassifier extends Module {
  readonly fc: Linear;
  readonly #features: number;

  constructor(weights: readonly (readonly number[])[], bias: readonly number[] = weights.map(() => 0)) {
    super();
    this.#features = weights[0]!.length;
    this.fc = new Linear({ inFeatures: this.#features, outFeatures: weights.length });
    this.fc.weight.value = Float32Array.from(weights.flat());
    this.fc.bias!.value = Float32Array.from(bias);
  }

  /** @param x [N, C, H, W]  @returns [N, K] */
  forward(x: Tensor): Tensor {
    return this.fc.forward(reshape(x, { shape: [-1, this.#features] }));
  }
}

/** A tapped image of 2 x 3 x 3, then W2 tanh(W1 x). */
export class TanhClassifier extends Module {
  readonly lastFeatures = "features";
  readonly fc1 = new Linear({ inFeatures: 18, outFeatures: 4, bias: false });
  readonly fc2 = new Linear({ inFeatures: 4, outFeatures: 3, bias: false });

  constructor() {
    super();
    this.fc1.weight.value = Float32Array.from({ length: 72 }, (_, at) => (((5 * at) % 13) - 6) / 6);
    this.fc2.weight.value = Float32Array.from({ length: 12 }, (_, at) => (((3 * at) % 7) - 3) / 3);
    initialize(this);
  }

  /** @param x [N, 2, 3, 3]  @returns [N, 3] */
  forward(x: Tensor): Tensor {
    const features = this.tap("features", x);
    return this.fc2.forward(tanh(this.fc1.forward(reshape(features, { shape: [-1, 18] }))));
  }
}

/** An image of given values. */
export function imageOf(shape: readonly number[], value: (at: number) => number) {
  const data = Float32Array.from({ length: elementCount(shape) }, (_, at) => value(at));
  return { dtype: "float32", shape, data } as const satisfies HostTensor;
}
