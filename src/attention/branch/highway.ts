import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { Linear } from "../../nn/linear.js";
import { constantValue } from "../../nn/variables.js";
import { relu, sigmoid, tanh } from "../../ops/activation.js";
import { add, mul, sub } from "../../ops/arithmetic.js";
import { mechanism, type Options } from "../mechanism.js";
import { oddSize, size } from "../options.js";
import type { NamedSize, Sizes } from "../sizes.js";

const activations = { relu, tanh };

/** Shape of input, output and gate. */
function shapeOf({ channels, kind }: { channels: number; kind: "linear" | "conv" }): NamedSize[] {
  return kind === "conv" ? ["batch", channels, "height", "width"] : ["batch", "...", channels];
}

/** Values of one map of the layer, without bias. */
function weightCount({
  channels,
  kind,
  kernelSize,
}: {
  channels: number;
  kind: string;
  kernelSize: number;
}): number {
  return channels ** 2 * (kind === "conv" ? kernelSize ** 2 : 1);
}

/** Number of positions: all sizes but the channels. */
function positionCount(sizes: Sizes): number {
  return Object.values(sizes).reduce((count, length) => count * length, 1);
}

/**
 * Highway layer: a gate decides, element by element, between a transform of the input and the input itself.
 * Srivastava, Greff, Schmidhuber: Highway Networks, 2015, arXiv:1505.00387, eq. 3 (the carry gate is 1 - T). Convolutional layers as in Training Very Deep Networks, NIPS 2015, arXiv:1507.06228.
 * Deviation: weights start as in PyTorch (uniform in ±1/sqrt(fanIn)), not normal.
 */
export class Highway extends mechanism({
  id: "highway",
  name: "Highway Layer",
  family: "branch",
  year: 2015,
  paper: "Srivastava, Greff, Schmidhuber: Highway Networks, ICML Deep Learning Workshop 2015",
  arxiv: "1505.00387",
  formula: String.raw`\mathbf{y} = H(\mathbf{x})\,T(\mathbf{x}) + \mathbf{x}\,(1 - T(\mathbf{x})),\quad T(\mathbf{x}) = \sigma(W_T\mathbf{x} + \mathbf{b}_T)`,
  options: z.strictObject({
    channels: size,
    kind: z._default(z.enum(["linear", "conv"]), "linear"),
    kernelSize: z._default(oddSize, 3),
    activation: z._default(z.enum(["relu", "tanh"]), "relu"),
    gateBias: z._default(z.number(), -1),
  }),
  maps: (options) => ({ gate: { kind: "branch", shape: shapeOf(options), range: [0, 1] } }),
  calls: (options) => ({
    forward: { inputs: { x: { shape: shapeOf(options) } }, outputs: { y: shapeOf(options) } },
  }),
  parameters: (options) => 2 * (weightCount(options) + options.channels),
  macs: (options, sizes) => 2 * weightCount(options) * positionCount(sizes),
  refused: [
    { channels: 0 },
    { kind: "recurrent" },
    { kernelSize: 2 },
    { kernelSize: 0 },
    { activation: "sigmoid" },
    { gateBias: Number.NaN },
  ],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 3 }, inputs: { x: { shape: ["batch", 8] } } },
    {
      options: { channels: 6, activation: "tanh", gateBias: -2 },
      sizes: { batch: 2, tokens: 5 },
      inputs: { x: { shape: ["batch", "tokens", 6] } },
    },
    { options: { channels: 4, kind: "conv" }, sizes: { batch: 2, height: 5, width: 4 } },
  ],
}) {
  readonly transform: Linear | Conv2d;
  readonly gate: Linear | Conv2d;

  constructor(options: Options<typeof Highway>) {
    super(options);
    const { channels, kind, kernelSize, gateBias } = this.options;
    const layer = (bias: object) =>
      kind === "linear"
        ? new Linear({ inFeatures: channels, outFeatures: channels, ...bias })
        : new Conv2d({
            inChannels: channels,
            outChannels: channels,
            kernel: kernelSize,
            padding: (kernelSize - 1) / 2,
            ...bias,
          });
    this.transform = layer({});
    this.gate = layer({ biasInitializer: constantValue(gateBias) });
  }

  /** @param x [N, ..., C], or [N, C, H, W] for convolutions  @returns the same shape */
  forward(x: Tensor): Tensor {
    const h = activations[this.options.activation](this.transform.forward(x)); // H(x)
    const t = this.tap("gate", sigmoid(this.gate.forward(x))); // T(x)
    return add(mul(h, t), mul(x, sub(1, t))); // eq. 3
  }
}
