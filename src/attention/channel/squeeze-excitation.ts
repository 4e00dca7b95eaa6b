import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { hardSigmoid, relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { max, mean } from "../../ops/reduce.js";
import { trailingAxes } from "../checkpoint-layout.js";
import { roundToDivisor } from "../divisor.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";

const gates = { sigmoid, hardSigmoid };

/** Hidden width R: the nearest multiple of the divisor to channels / reduction, halves up. */
function hiddenWidth(options: {
  channels: number;
  reduction: number;
  reductionDivisor: number;
  reducedChannels?: number | null | undefined;
}): number {
  return (
    options.reducedChannels ?? roundToDivisor(options.channels / options.reduction, options.reductionDivisor)
  );
}

/**
 * Squeeze-and-Excitation: y = x * gate(W2 relu(W1 mean_hw(x))).
 * Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, CVPR 2018, arXiv:1709.01507, eq. 2 to 4.
 * Deviations, as in timm: the hidden width is rounded to a divisor; maxPool, norm and the hard gate are options.
 */
export class SqueezeExcitation extends mechanism({
  id: "se",
  name: "Squeeze-and-Excitation",
  family: "channel",
  year: 2018,
  paper: "Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, CVPR 2018",
  arxiv: "1709.01507",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(W_2\,\delta(W_1\,\mathrm{GAP}(\mathbf{x}))\right)`,
  options: z.strictObject({
    channels: size,
    reduction: z._default(positive, 16),
    reductionDivisor: z._default(size, 8),
    reducedChannels: optional(size),
    maxPool: flag(false),
    bias: flag(true),
    norm: flag(false),
    gate: z._default(z.enum(["sigmoid", "hardSigmoid"]), "sigmoid"),
  }),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] },
  }),
  parameters: (options) => {
    const [c, r] = [options.channels, hiddenWidth(options)];
    return 2 * c * r + (options.bias ? r + c : 0) + (options.norm ? 2 * r : 0);
  },
  macs: (options, { batch = 1 }) => batch * 2 * options.channels * hiddenWidth(options),
  refused: [
    { channels: 0 },
    { reduction: 0 },
    { reductionDivisor: 0.5 },
    { reducedChannels: 0 },
    { gate: "softmax" },
  ],
  examples: [
    { options: { channels: 16, reduction: 4 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 12, reductionDivisor: 4, maxPool: true, norm: true, gate: "hardSigmoid" },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
  checkpoints: {
    "moskomule/senet.pytorch": {
      "fc.0": "fc1",
      "fc.0.weight": trailingAxes(-2, "fc1.weight"),
      "fc.2": "fc2",
      "fc.2.weight": trailingAxes(-2, "fc2.weight"),
    },
  },
}) {
  readonly fc1: Conv2d;
  readonly bn?: BatchNorm;
  readonly fc2: Conv2d;

  constructor(options: Options<typeof SqueezeExcitation>) {
    super(options);
    const { channels, bias, norm } = this.options;
    const hidden = hiddenWidth(this.options);
    this.fc1 = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1, bias });
    if (norm) this.bn = new BatchNorm({ channels: hidden });
    this.fc2 = new Conv2d({ inChannels: hidden, outChannels: channels, kernel: 1, bias });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const average = mean(x, { axes: [2, 3] }); // [N, C, 1, 1]  squeeze, eq. 2
    const z = this.options.maxPool ? mul(add(average, max(x, { axes: [2, 3] })), 0.5) : average;
    const h = this.fc1.forward(z); // [N, R, 1, 1]
    const e = this.fc2.forward(relu(this.bn?.forward(h) ?? h)); // [N, C, 1, 1]  excitation, eq. 3
    const s = gates[this.options.gate](e);
    return mul(x, this.tap("attention", s)); // scale, eq. 4
  }
}
