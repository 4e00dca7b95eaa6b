import * as z from "zod/mini";
import { concreteShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { currentScope } from "../../graph/trace.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Linear } from "../../nn/linear.js";
import { hardSigmoid, relu, sigmoid } from "../../ops/activation.js";
import { abs, add, isPositive, mul, sub } from "../../ops/arithmetic.js";
import { cast, greater, where } from "../../ops/compare.js";
import { noise as drawNoise } from "../../ops/random.js";
import { mean, sum } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { straightThrough } from "../../ops/stop-gradient.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";

/** Saturating sigmoid min(max(1.2 σ(z) - 0.1, 0), 1) of Kaiser and Bengio; no gradient where it is 0 or 1. */
function saturatingSigmoid(logits: Tensor): Tensor {
  return hardSigmoid(sub(mul(sigmoid(logits), 7.2), 3.6)); // hardSigmoid(t) = min(max(t / 6 + 1/2, 0), 1)
}

/** A random half of a batch (the larger one of an odd batch), as bool [N]: those whose draws have the lower ranks. */
function randomHalf(count: number): Tensor {
  const draws = drawNoise([count], { distribution: "uniform", stream: `${currentScope()}.soft` });
  const larger = greater(reshape(draws, { shape: [count, 1] }), reshape(draws, { shape: [1, count] }));
  const ranks = sum(cast(larger, { to: "float32" }), { axes: [1], keepDims: false });
  return greater(count / 2, ranks);
}

/**
 * GaterNet's filter gates: features of a second network, which has seen the whole image, switch the filters of a layer on or off.
 * Chen, Li, Bengio, Si: You Look Twice: GaterNet for Dynamic Filter Selection in CNNs, CVPR 2019, arXiv:1811.11205, section 3.
 * The discretisation is the improved semantic hashing of Kaiser and Bengio, arXiv:1801.09797: in training the logits get noise and half
 * of the batch uses the soft gates; the hard ones have the gradient of the soft ones in both modes.
 */
export class GaterNet extends mechanism({
  id: "gaternet",
  name: "GaterNet Filter Gates",
  family: "channel",
  year: 2019,
  paper: "Chen, Li, Bengio, Si: You Look Twice: GaterNet for Dynamic Filter Selection in CNNs, CVPR 2019",
  arxiv: "1811.11205",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,[\mathbf{z} > 0],\quad \mathbf{z} = W_2\,\delta(\mathrm{BN}(W_1\mathbf{f} + \mathbf{b}_1)) + \mathbf{b}_2,\quad \frac{\partial[\mathbf{z} > 0]}{\partial\mathbf{z}} := \frac{\partial}{\partial\mathbf{z}}\min(\max(1.2\,\sigma(\mathbf{z}) - 0.1, 0), 1)`,
  options: z.strictObject({ channels: size, features: size, bottleneck: size }),
  maps: ({ channels }) => ({
    gates: { kind: "channel-gate", shape: ["batch", channels], range: [0, 1] },
    logits: { kind: "channel-gate", shape: ["batch", channels] },
  }),
  calls: ({ channels, features }) => ({
    forward: {
      inputs: {
        x: { shape: ["batch", channels, "..."] },
        features: { shape: ["batch", features] },
        noise: { shape: ["batch", channels], optional: true },
        soft: { shape: ["batch"], dtype: "bool", optional: true },
      },
      outputs: { y: ["batch", channels, "..."], sparsity: ["batch"] },
    },
  }),
  parameters: ({ channels: c, features: f, bottleneck: b }) => f * b + 3 * b + b * c + c,
  macs: ({ channels: c, features: f, bottleneck: b }, { batch = 1 }) => batch * b * (f + c),
  refused: [{ channels: 0 }, { features: 0 }, { bottleneck: 0 }, { bottleneck: 2.5 }],
  examples: [
    {
      options: { channels: 6, features: 8, bottleneck: 4 },
      sizes: { batch: 4, height: 3, width: 5 },
      inputs: { x: { shape: ["batch", 6, "height", "width"] } },
    },
    {
      options: { channels: 5, features: 6, bottleneck: 3 },
      sizes: { batch: 3 },
      inputs: { x: { shape: ["batch", 5] }, noise: {}, soft: {} },
    },
  ],
}) {
  readonly fc1: Linear;
  readonly bn: BatchNorm;
  readonly fc2: Linear;

  constructor(options: Options<typeof GaterNet>) {
    super(options);
    const { channels, features, bottleneck } = this.options;
    this.fc1 = new Linear({ inFeatures: features, outFeatures: bottleneck });
    this.bn = new BatchNorm({ channels: bottleneck });
    this.fc2 = new Linear({ inFeatures: bottleneck, outFeatures: channels });
  }

  /**
   * @param input x [N, C, ...], features [N, F]; in training noise [N, C] (standard normal) and soft [N] (samples with soft gates), which
   * are drawn where they are not given
   * @returns y shaped like x, and sparsity [N]: the mean gate of each sample, for the loss
   */
  forward(input: {
    readonly x: Tensor;
    readonly features: Tensor;
    readonly noise?: Tensor;
    readonly soft?: Tensor;
  }): { y: Tensor; sparsity: Tensor } {
    const { x, features } = input;
    const logits = this.fc2.forward(relu(this.bn.forward(this.fc1.forward(features)))); // [N, C]
    const gates = this.training ? this.#trainingGates(logits, input) : this.#evaluationGates(logits);
    const stretched = reshape(this.tap("gates", gates), {
      shape: [-1, this.options.channels, ...x.shape.slice(2).map(() => 1)],
    });
    return { y: mul(x, stretched), sparsity: mean(abs(gates), { axes: [1], keepDims: false }) };
  }

  #evaluationGates(logits: Tensor): Tensor {
    this.tap("logits", logits);
    return straightThrough(isPositive(logits), saturatingSigmoid(logits));
  }

  #trainingGates(clean: Tensor, given: { readonly noise?: Tensor; readonly soft?: Tensor }): Tensor {
    const shape = concreteShape(clean.shape);
    const noise =
      given.noise ?? drawNoise(shape, { distribution: "normal", stream: `${currentScope()}.noise` });
    const soft = reshape(given.soft ?? randomHalf(shape[0]!), { shape: [-1, 1] });
    const logits = this.tap("logits", add(clean, noise));
    const alpha = saturatingSigmoid(logits);
    return straightThrough(where(soft, alpha, isPositive(logits)), alpha);
  }
}
