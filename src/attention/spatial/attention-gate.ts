import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { defaultInitializer, kaimingNormal, normal } from "../../nn/variables.js";
import { relu, sigmoid, softplus } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { interpolate } from "../../ops/resize.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, size } from "../options.js";
import { softmaxOverPositions } from "../positions.js";
import { innerWidth } from "../reduction.js";

const activations = { relu, softplus };

/** 1x1 convolution with bias, its weights initialized for ReLU. */
function pointwise(inChannels: number, outChannels: number): Conv2d {
  return new Conv2d({
    inChannels,
    outChannels,
    kernel: 1,
    initializer: kaimingNormal(inChannels),
    biasInitializer: defaultInitializer(inChannels),
  });
}

/**
 * Additive attention gate: a coarser gating signal and the input together decide how much of each pixel of the input passes.
 * Oktay, Schlemper, Le Folgoc, Lee, Heinrich, Misawa, Mori, McDonagh, Hammerla, Kainz, Glocker, Rueckert: Attention U-Net, MIDL 2018,
 * arXiv:1804.03999. As in the authors' code a convolution with batch normalization follows; the paper's formula is
 * `outputTransform: false`. That code dates from when bilinear meant `alignCorners`.
 */
export class AttentionGate extends mechanism({
  id: "attention-gate",
  name: "Additive Attention Gate",
  family: "spatial",
  year: 2018,
  paper:
    "Oktay, Schlemper, Le Folgoc, Lee, Heinrich, Misawa, Mori, McDonagh, Hammerla, Kainz, Glocker, Rueckert: Attention U-Net: Learning Where to Look for the Pancreas, MIDL 2018",
  arxiv: "1804.03999",
  formula: String.raw`\mathbf{y} = \mathrm{BN}\,W(\mathbf{x}\,\mathrm{up}(\alpha)),\quad \alpha = \sigma\!\left(\psi\,\delta(\Theta\mathbf{x} + \mathrm{up}(\Phi\mathbf{g}))\right)`,
  options: z.strictObject({
    channels: size,
    gateChannels: size,
    innerChannels: optional(size),
    subSample: z._default(z.tuple([size, size]), [2, 2]),
    activation: z._default(z.enum(["relu", "softplus"]), "relu"),
    normalization: z._default(z.enum(["sigmoid", "softmax"]), "sigmoid"),
    alignCorners: flag(false),
    outputTransform: flag(true),
  }),
  maps: () => ({
    // After a softmax the sum over pixels is one before the map grows to the size of the input only.
    attention: { kind: "spatial", shape: ["batch", 1, "height", "width"], range: [0, 1] },
  }),
  calls: ({ channels, gateChannels }) => ({
    forward: {
      inputs: {
        x: { shape: ["batch", channels, "height", "width"] },
        gate: { shape: ["batch", gateChannels, "gateHeight", "gateWidth"] },
      },
      outputs: { y: ["batch", channels, "height", "width"] },
    },
  }),
  parameters: (options) => {
    const { channels: c, gateChannels: g, subSample, outputTransform } = options;
    const d = innerWidth(options);
    const [rows, columns] = subSample;
    return c * d * rows * columns + g * d + d + d + 1 + (outputTransform ? c * c + 3 * c : 0);
  },
  macs: (options, { batch = 1, height = 1, width = 1, gateHeight = 1, gateWidth = 1 }) => {
    const { channels: c, gateChannels: g, subSample, outputTransform } = options;
    const d = innerWidth(options);
    const [rows, columns] = subSample;
    const cells = Math.floor(height / rows) * Math.floor(width / columns);
    const scores = cells * (c * d * rows * columns + d) + gateHeight * gateWidth * g * d;
    return batch * (scores + (outputTransform ? height * width * c * c : 0));
  },
  refused: [
    { channels: 0 },
    { gateChannels: 0 },
    { innerChannels: 0 },
    { subSample: [0, 2] },
    { subSample: [2] },
    { activation: "tanh" },
    { normalization: "none" },
  ],
  examples: [
    {
      options: { channels: 8, gateChannels: 6 },
      sizes: { batch: 2, height: 7, width: 9, gateHeight: 3, gateWidth: 2 },
    },
    {
      options: {
        channels: 6,
        gateChannels: 4,
        innerChannels: 5,
        subSample: [2, 1],
        activation: "softplus",
        normalization: "softmax",
        alignCorners: true,
      },
      sizes: { batch: 2, height: 5, width: 4, gateHeight: 1, gateWidth: 3 },
    },
    {
      options: { channels: 4, gateChannels: 4, subSample: [1, 1], outputTransform: false },
      sizes: { batch: 2, height: 4, width: 5, gateHeight: 4, gateWidth: 5 },
    },
  ],
  checkpoints: {
    "ozan-oktay/Attention-Gated-Networks": { "W.0": "outConv", "W.1": "outNorm" },
  },
}) {
  readonly theta: Conv2d;
  readonly phi: Conv2d;
  readonly psi: Conv2d;
  readonly outConv?: Conv2d;
  readonly outNorm?: BatchNorm;

  constructor(options: Options<typeof AttentionGate>) {
    super(options);
    const { channels, gateChannels, subSample, outputTransform } = this.options;
    const inner = innerWidth(this.options);
    this.theta = new Conv2d({
      inChannels: channels,
      outChannels: inner,
      kernel: subSample,
      stride: subSample,
      bias: false,
      initializer: kaimingNormal(channels * subSample[0] * subSample[1]),
    });
    this.phi = pointwise(gateChannels, inner);
    this.psi = pointwise(inner, 1);
    if (!outputTransform) return;
    this.outConv = pointwise(channels, channels);
    this.outNorm = new BatchNorm({ channels, weightInitializer: normal(0.02, 1) });
  }

  /** @param inputs.x [N, C, H, W]  @param inputs.gate [N, G, h, w]  @returns [N, C, H, W] */
  forward({ x, gate }: { x: Tensor; gate: Tensor }): Tensor {
    const t = this.theta.forward(x); // [N, D, H / s0, W / s1]
    const f = activations[this.options.activation](add(t, this.#resize(this.phi.forward(gate), t)));
    const alpha = this.#normalize(this.psi.forward(f)); // [N, 1, H / s0, W / s1]
    const gated = mul(x, this.tap("attention", this.#resize(alpha, x)));
    const y = this.outConv?.forward(gated) ?? gated;
    return this.outNorm?.forward(y) ?? y;
  }

  #normalize(scores: Tensor): Tensor {
    if (this.options.normalization === "sigmoid") return sigmoid(scores);
    return softmaxOverPositions(scores);
  }

  /** To the height and width of `like`. */
  #resize(map: Tensor, like: Tensor): Tensor {
    const target = [like.size(2), like.size(3)];
    return interpolate(map, { size: target, mode: "linear", alignCorners: this.options.alignCorners });
  }
}
