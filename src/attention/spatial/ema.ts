import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Initializer, Variable } from "../../graph/variable.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { buffer, defaultInitializer, kaimingNormal, read, update } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { add, div, mul, sqrt, square } from "../../ops/arithmetic.js";
import { matmul } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { mean, sum } from "../../ops/reduce.js";
import { stopGradient } from "../../ops/stop-gradient.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, size } from "../options.js";
import { flattenPositions, innerProducts, unflattenPositions, weightedSums } from "../positions.js";

/** Added to lengths and sums before a division. */
const epsilon = 1e-6;

/** Closed interval of shares. */
const share = z.number().check(z.gte(0), z.lte(1));

/** Columns of length (almost) 1: [N, C, K] -> [N, C, K]. */
function unitColumns(u: Tensor): Tensor {
  // 1e-20 keeps the derivative of the root finite for a column of zeros.
  const length = sqrt(add(sum(square(u), { axes: [1] }), 1e-20));
  return div(u, add(length, epsilon));
}

/** Normal with deviation sqrt(2 / K), each of the K columns then brought to length (almost) 1. */
function initialBases(numBases: number): Initializer {
  return (out, context) => {
    kaimingNormal(numBases)(out, context);
    for (let base = 0; base < numBases; base++) {
      let squares = 0;
      for (let at = base; at < out.length; at += numBases) squares += out[at]! ** 2;
      const length = epsilon + Math.sqrt(squares);
      for (let at = base; at < out.length; at += numBases) out[at]! /= length;
    }
  };
}

/**
 * Expectation-maximization attention unit: a few bases are fitted to the pixels by expectation maximization, and each pixel is rebuilt
 * as a mixture of them.
 * Li, Zhong, Wu, Yang, Lin, Liu: Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV 2019, arXiv:1907.13426.
 * As in the reference code the pixels are rebuilt with the last bases and the responsibilities before them, there is no
 * temperature, and with `detach` no gradient flows through the unit, so that `conv1` keeps its initial weights. In training the bases
 * move towards those of the batch after each pass.
 */
export class ExpectationMaximizationAttention extends mechanism({
  id: "ema",
  name: "Expectation-Maximization Attention Unit",
  family: "spatial",
  year: 2019,
  paper:
    "Li, Zhong, Wu, Yang, Lin, Liu: Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV 2019",
  arxiv: "1907.13426",
  formula: String.raw`\mathbf{y} = \delta\!\left(\mathrm{BN}(W_2\,\delta(\boldsymbol{\mu} Z^\top)) + \mathbf{x}\right),\quad Z \leftarrow \mathrm{softmax}_k((W_1\mathbf{x})^\top \boldsymbol{\mu}),\ \boldsymbol{\mu}_k \leftarrow \frac{\sum_p z_{pk}\,W_1\mathbf{x}_p}{\left\|\sum_p z_{pk}\,W_1\mathbf{x}_p\right\|}`,
  options: z.strictObject({
    channels: size,
    numBases: z._default(size, 64),
    stages: z._default(size, 3),
    momentum: z._default(share, 0.9),
    bnMomentum: z._default(share, 3e-4),
    detach: flag(true),
  }),
  maps: ({ numBases }) => ({
    attention: {
      kind: "tokens",
      shape: ["batch", "height*width", numBases],
      range: [0, 1],
      sumsToOne: [2],
    },
  }),
  parameters: ({ channels: c }) => 2 * c * c + 3 * c,
  macs: ({ channels: c, numBases, stages }, { batch = 1, height = 1, width = 1 }) =>
    batch * height * width * (2 * c * c + (2 * stages + 1) * c * numBases),
  refused: [
    { channels: 0 },
    { numBases: 0 },
    { stages: 0 },
    { momentum: 1.1 },
    { momentum: -0.1 },
    { bnMomentum: 2 },
  ],
  examples: [
    { options: { channels: 8, numBases: 5 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 6, numBases: 3, stages: 2, momentum: 0.5, detach: false },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
  checkpoints: {
    "XiaLiPKU/EMANet": { mu: "bases", "conv2.0": "conv2", "conv2.1": "norm" },
  },
}) {
  readonly conv1: Conv2d;
  readonly bases: Variable;
  readonly conv2: Conv2d;
  readonly norm: BatchNorm;

  constructor(options: Options<typeof ExpectationMaximizationAttention>) {
    super(options);
    const { channels, numBases, bnMomentum } = this.options;
    const pointwise = { inChannels: channels, outChannels: channels, kernel: 1 };
    const initializer = kaimingNormal(channels);
    const biasInitializer = defaultInitializer(channels);
    this.conv1 = new Conv2d({ ...pointwise, initializer, biasInitializer });
    this.bases = buffer([1, channels, numBases], initialBases(numBases));
    this.conv2 = new Conv2d({ ...pointwise, initializer, bias: false });
    this.norm = new BatchNorm({ channels, momentum: bnMomentum });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const projected = flattenPositions(this.conv1.forward(x)); // [N, C, P]
    const features = this.options.detach ? stopGradient(projected) : projected;
    const { bases, responsibilities } = this.#fit(features); // [N, C, K], [N, P, K]
    this.tap("attention", responsibilities);
    const rebuilt = unflattenPositions(weightedSums(responsibilities, bases), { like: x }); // [N, C, H, W]
    if (this.training) this.#move(bases);
    return relu(add(this.norm.forward(this.conv2.forward(relu(rebuilt))), x));
  }

  /** Expectation maximization from the kept bases: responsibilities of the bases for each pixel, then bases as means of their pixels. */
  #fit(features: Tensor): { bases: Tensor; responsibilities: Tensor } {
    const step = (bases: Tensor) => {
      const responsibilities = softmax(innerProducts(features, bases), { axis: 2 }); // [N, P, K]
      const shares = div(responsibilities, add(sum(responsibilities, { axes: [1] }), epsilon));
      return { bases: unitColumns(matmul(features, shares)), responsibilities };
    };
    let fitted = step(read(this.bases));
    for (let stage = 1; stage < this.options.stages; stage++) fitted = step(fitted.bases);
    return fitted;
  }

  /** Moves the kept bases towards the mean of those of the batch. */
  #move(bases: Tensor): void {
    const { momentum } = this.options;
    update(this.bases, add(mul(read(this.bases), momentum), mul(mean(bases, { axes: [0] }), 1 - momentum)));
  }
}
