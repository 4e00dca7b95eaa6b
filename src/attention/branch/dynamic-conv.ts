import * as z from "zod/mini";
import { OptionError } from "../../base/errors.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { Module } from "../../nn/module.js";
import { buffer, constantValue, kaimingNormal, parameter, uniform } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { div } from "../../ops/arithmetic.js";
import { softmax } from "../../ops/normalize.js";
import { mean } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import {
  expertConv,
  expertConvMacs,
  expertConvOptions,
  groupsDivide,
  kernelCount,
  kernelShape,
} from "../expert-conv.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, positive } from "../options.js";

/** Hidden width of the attention; images (3 channels) have one unit per expert. */
function hiddenWidth({
  channels,
  experts,
  ratio,
}: {
  channels: number;
  experts: number;
  ratio: number;
}): number {
  return channels === 3 ? experts : Math.floor(channels * ratio) + 1;
}

/** Attention over kernels: logits from the mean over pixels by two 1x1 convolutions. */
class KernelAttention extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor({ channels, hidden, experts }: { channels: number; hidden: number; experts: number }) {
    super();
    const layer = (inChannels: number, outChannels: number, bias: boolean) =>
      new Conv2d({
        inChannels,
        outChannels,
        kernel: 1,
        bias,
        initializer: kaimingNormal(outChannels),
        biasInitializer: constantValue(0),
      });
    this.fc1 = layer(channels, hidden, false);
    this.fc2 = layer(hidden, experts, true);
  }

  /** @param x [N, C, H, W]  @returns [N, K, 1, 1] */
  forward(x: Tensor): Tensor {
    return this.fc2.forward(relu(this.fc1.forward(mean(x, { axes: [2, 3] }))));
  }
}

/**
 * Dynamic convolution: each sample is convolved with its own convex combination of K kernels.
 * Chen, Dai, Liu, Chen, Yuan, Liu: Dynamic Convolution: Attention over Convolution Kernels, CVPR 2020, arXiv:1912.03458, section 3.
 * Deviations, as in the re-implementation kaijieshi7/Dynamic-convolution-Pytorch: the hidden width has one unit more than channels *
 * ratio (and K units for 3 channels), the first temperature is 34 (paper: 30). The temperature is state, not a constant of the graph.
 */
export class DynamicConv extends mechanism({
  id: "dynamic-conv",
  name: "Dynamic Convolution",
  family: "branch",
  year: 2020,
  paper:
    "Chen, Dai, Liu, Chen, Yuan, Liu: Dynamic Convolution: Attention over Convolution Kernels, CVPR 2020",
  arxiv: "1912.03458",
  formula: String.raw`\mathbf{y}_n = \Big(\sum_{e=1}^{K} a_{n,e} W_e\Big) * \mathbf{x}_n + \sum_{e=1}^{K} a_{n,e}\mathbf{b}_e,\quad \mathbf{a} = \mathrm{softmax}\big(\mathrm{MLP}(\mathrm{GAP}(\mathbf{x}))/\tau\big)`,
  options: z
    .strictObject({
      ...expertConvOptions,
      padding: z._default(z.int().check(z.gte(0)), 0),
      bias: flag(true),
      ratio: z._default(positive, 0.25),
      temperature: z._default(positive, 34),
    })
    .check(groupsDivide("channels"), groupsDivide("outChannels")),
  maps: ({ experts }) => ({
    attention: { kind: "branch", shape: ["batch", experts], range: [0, 1], sumsToOne: [1] },
  }),
  calls: ({ channels, outChannels }) => ({
    forward: {
      inputs: { x: { shape: ["batch", channels, "height", "width"] } },
      outputs: { y: ["batch", outChannels, "newHeight", "newWidth"] },
    },
  }),
  parameters: (options) => {
    const { channels, outChannels, experts, bias } = options;
    const hidden = hiddenWidth(options);
    const kernels = experts * (kernelCount(options) + (bias ? outChannels : 0));
    return kernels + channels * hidden + hidden * experts + experts;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const attention = hiddenWidth(options) * (options.channels + options.experts);
    return batch * (attention + expertConvMacs(options, options.padding, [height, width]));
  },
  refused: [
    { channels: 0 },
    { outChannels: 0 },
    { kernelSize: 0 },
    { stride: 0 },
    { padding: -1 },
    { padding: "same" },
    { dilation: 0 },
    { groups: 0 },
    { channels: 6, groups: 4 },
    { outChannels: 6, groups: 4 },
    { experts: 0 },
    { ratio: 0 },
    { temperature: 0 },
    { temperature: -1 },
  ],
  examples: [
    {
      options: { channels: 8, outChannels: 12, padding: 1 },
      sizes: { batch: 2, height: 5, width: 6, newHeight: 5, newWidth: 6 },
    },
    {
      options: {
        channels: 8,
        outChannels: 12,
        groups: 4,
        stride: 2,
        padding: 1,
        bias: false,
        experts: 3,
        temperature: 1,
      },
      sizes: { batch: 3, height: 6, width: 5, newHeight: 3, newWidth: 3 },
    },
    {
      options: { channels: 3, outChannels: 4, kernelSize: 2, dilation: 2 },
      sizes: { batch: 2, height: 5, width: 4, newHeight: 3, newWidth: 2 },
    },
  ],
}) {
  readonly weight: Variable;
  readonly bias?: Variable;
  readonly attention: KernelAttention;
  /** τ, a scalar: between the steps of a training its state `temperature` can be written; reference checkpoints do not have it. */
  readonly temperature: Variable;

  constructor(options: Options<typeof DynamicConv>) {
    super(options);
    const { channels, outChannels, experts, bias, temperature } = this.options;
    const fanIn = kernelCount(this.options) / outChannels;
    this.weight = parameter([experts, ...kernelShape(this.options)], uniform(Math.sqrt(6 / fanIn)));
    if (bias) this.bias = parameter([experts, outChannels], constantValue(0));
    this.attention = new KernelAttention({ channels, hidden: hiddenWidth(this.options), experts });
    this.temperature = buffer([], constantValue(temperature), { optional: true });
  }

  /** Sets τ for what is run or compiled from now on. @throws OptionError unless it is a finite number > 0 */
  setTemperature(temperature: number): void {
    if (!(temperature > 0 && Number.isFinite(temperature))) {
      throw new OptionError(`DynamicConv: temperature is ${temperature}; it must be a finite number > 0`);
    }
    this.temperature.value = Float32Array.of(temperature);
  }

  /** @param x [N, Ci, H, W]  @returns [N, Co, H', W'] */
  forward(x: Tensor): Tensor {
    const { experts, padding } = this.options;
    const logits = reshape(this.attention.forward(x), { shape: [-1, experts] });
    const mixture = this.tap("attention", softmax(div(logits, this.temperature), { axis: 1 })); // [N, K]
    return expertConv(x, { mixture, weight: this.weight, bias: this.bias }, this.options, padding);
  }
}
