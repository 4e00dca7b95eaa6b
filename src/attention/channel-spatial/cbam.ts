import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { Module } from "../../nn/module.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { max, mean } from "../../ops/reduce.js";
import { concat } from "../../ops/shape.js";
import { planesReversed, trailingAxes } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, oddSize, optional, positive, size } from "../options.js";
import { roundedWidth } from "../reduction.js";

/** Channel gate: one MLP sees the mean and the maximum over pixels; section 3.1, eq. 2. */
class ChannelGate extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor({ channels, hidden, bias }: { channels: number; hidden: number; bias: boolean }) {
    super();
    this.fc1 = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1, bias });
    this.fc2 = new Conv2d({ inChannels: hidden, outChannels: channels, kernel: 1, bias });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const mlp = (t: Tensor) => this.fc2.forward(relu(this.fc1.forward(t))); // [N, C, 1, 1]
    const gate = sigmoid(add(mlp(mean(x, { axes: [2, 3] })), mlp(max(x, { axes: [2, 3] }))));
    return mul(x, this.tap("attention", gate));
  }
}

/** A convolution of the pooled planes, with or without batch normalization. */
class PlaneConv extends Module {
  readonly conv: Conv2d;
  readonly bn?: BatchNorm;

  constructor({ kernel, norm }: { kernel: number; norm: boolean }) {
    super();
    this.conv = new Conv2d({ inChannels: 2, outChannels: 1, kernel, padding: (kernel - 1) / 2, bias: !norm });
    if (norm) this.bn = new BatchNorm({ channels: 1 });
  }

  /** @param x [N, 2, H, W]  @returns [N, 1, H, W] */
  forward(x: Tensor): Tensor {
    const y = this.conv.forward(x);
    return this.bn?.forward(y) ?? y;
  }
}

/** Spatial gate: a convolution over the mean and the maximum over channels; section 3.1, eq. 3. */
class SpatialGate extends Module {
  readonly conv: PlaneConv;

  constructor(options: { kernel: number; norm: boolean }) {
    super();
    this.conv = new PlaneConv(options);
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const planes = concat([mean(x, { axes: [1] }), max(x, { axes: [1] })], { axis: 1 }); // [N, 2, H, W]
    return mul(x, this.tap("attention", sigmoid(this.conv.forward(planes)))); // gate [N, 1, H, W]
  }
}

/**
 * Convolutional Block Attention Module: a channel gate, then a spatial gate computed from its result.
 * Woo, Park, Lee, Kweon: CBAM, ECCV 2018, arXiv:1807.06521, eq. 1 to 3.
 * Deviations, as in timm: planes in the order (mean, max); batch normalization in the spatial gate has momentum 0.1 (official code 0.01).
 */
export class CBAM extends mechanism({
  id: "cbam",
  name: "Convolutional Block Attention Module",
  family: "channel-spatial",
  year: 2018,
  paper: "Woo, Park, Lee, Kweon: CBAM: Convolutional Block Attention Module, ECCV 2018",
  arxiv: "1807.06521",
  formula: String.raw`\mathbf{z} = \mathbf{x}\,\sigma\!\left(\mathrm{MLP}(\mathrm{GAP}\,\mathbf{x}) + \mathrm{MLP}(\mathrm{GMP}\,\mathbf{x})\right),\quad \mathbf{y} = \mathbf{z}\,\sigma\!\left(f^{k\times k}[\mathrm{mean}_c\mathbf{z};\,\max_c\mathbf{z}]\right)`,
  options: z.strictObject({
    channels: size,
    reduction: z._default(positive, 16),
    reducedChannels: optional(size),
    kernelSize: z._default(oddSize, 7),
    mlpBias: flag(false),
    spatialNorm: flag(true),
    residual: flag(false),
  }),
  maps: ({ channels }) => ({
    channel: {
      kind: "channel-gate",
      shape: ["batch", channels, 1, 1],
      range: [0, 1],
      tap: "channel.attention",
    },
    spatial: {
      kind: "spatial",
      shape: ["batch", 1, "height", "width"],
      range: [0, 1],
      tap: "spatial.attention",
    },
  }),
  parameters: (options) => {
    const [c, h, k] = [options.channels, roundedWidth(options), options.kernelSize];
    return 2 * c * h + (options.mlpBias ? h + c : 0) + 2 * k * k + (options.spatialNorm ? 2 : 1);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const mlp = 4 * options.channels * roundedWidth(options);
    return batch * (mlp + 2 * options.kernelSize ** 2 * height * width);
  },
  refused: [{ channels: 0 }, { reduction: 0 }, { reducedChannels: 0 }, { kernelSize: 4 }, { kernelSize: 0 }],
  examples: [
    { options: { channels: 16, reduction: 4 }, sizes: { batch: 2, height: 6, width: 8 } },
    {
      options: {
        channels: 8,
        reduction: 4,
        kernelSize: 3,
        mlpBias: true,
        spatialNorm: false,
        residual: true,
      },
      sizes: { batch: 2, height: 5, width: 4 },
    },
  ],
  checkpoints: {
    "Jongchan/attention-module": {
      "ChannelGate.mlp.1": "channel.fc1",
      "ChannelGate.mlp.1.weight": trailingAxes(-2, "channel.fc1.weight"),
      "ChannelGate.mlp.3": "channel.fc2",
      "ChannelGate.mlp.3.weight": trailingAxes(-2, "channel.fc2.weight"),
      "SpatialGate.spatial.conv": "spatial.conv.conv",
      // The maximum first, then the mean.
      "SpatialGate.spatial.conv.weight": planesReversed("spatial.conv.conv.weight"),
      "SpatialGate.spatial.bn": "spatial.conv.bn",
    },
  },
}) {
  readonly channel: ChannelGate;
  readonly spatial: SpatialGate;

  constructor(options: Options<typeof CBAM>) {
    super(options);
    const { channels, mlpBias, kernelSize, spatialNorm } = this.options;
    this.channel = new ChannelGate({ channels, hidden: roundedWidth(this.options), bias: mlpBias });
    this.spatial = new SpatialGate({ kernel: kernelSize, norm: spatialNorm });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const y = this.spatial.forward(this.channel.forward(x));
    return this.options.residual ? add(y, x) : y;
  }
}
