import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { positive, size } from "../options.js";
import { leavesChannels, type ReductionOptions, reducedWidth } from "../reduction.js";

interface BamOptions extends ReductionOptions {
  readonly channelLayers: number;
  readonly dilatedLayers: number;
  readonly dilation: number;
}

/** A hidden layer of the channel branch. */
class HiddenLayer extends Module {
  readonly fc: Linear;
  readonly bn: BatchNorm;

  constructor({ inFeatures, outFeatures }: { inFeatures: number; outFeatures: number }) {
    super();
    this.fc = new Linear({ inFeatures, outFeatures });
    this.bn = new BatchNorm({ channels: outFeatures });
  }

  /** @param x [N, inFeatures]  @returns [N, outFeatures] */
  forward(x: Tensor): Tensor {
    return relu(this.bn.forward(this.fc.forward(x)));
  }
}

/** Channel branch: an MLP of the mean over pixels; eq. 3. */
class ChannelBranch extends Module {
  readonly hidden: readonly HiddenLayer[];
  readonly final: Linear;

  constructor(options: BamOptions) {
    super();
    const h = reducedWidth(options);
    this.hidden = Array.from(
      { length: options.channelLayers },
      (_, layer) => new HiddenLayer({ inFeatures: layer === 0 ? options.channels : h, outFeatures: h }),
    );
    this.final = new Linear({ inFeatures: h, outFeatures: options.channels });
  }

  /** @param x [N, C, H, W]  @returns logits [N, C, 1, 1] */
  forward(x: Tensor): Tensor {
    const z = mean(x, { axes: [2, 3], keepDims: false }); // [N, C]
    const t = this.hidden.reduce((value, layer) => layer.forward(value), z); // [N, h]
    return reshape(this.final.forward(t), { shape: [-1, x.size(1), 1, 1] });
  }
}

/** Spatial branch: dilated convolutions of fewer channels; eq. 4. */
class SpatialBranch extends Module {
  readonly reduce: ConvNorm;
  readonly dilated: readonly ConvNorm[];
  readonly final: Conv2d;

  constructor(options: BamOptions) {
    super();
    const { channels, dilation } = options;
    const h = reducedWidth(options);
    this.reduce = new ConvNorm({ inChannels: channels, outChannels: h, kernel: 1, bias: true });
    this.dilated = Array.from(
      { length: options.dilatedLayers },
      () =>
        new ConvNorm({ inChannels: h, outChannels: h, kernel: 3, padding: dilation, dilation, bias: true }),
    );
    this.final = new Conv2d({ inChannels: h, outChannels: 1, kernel: 1 });
  }

  /** @param x [N, C, H, W]  @returns logits [N, 1, H, W] */
  forward(x: Tensor): Tensor {
    const u = [this.reduce, ...this.dilated].reduce((value, layer) => relu(layer.forward(value)), x); // [N, h, H, W]
    return this.final.forward(u);
  }
}

/**
 * Bottleneck attention module: logits per channel and logits per pixel, joined to a gate per element; y = x + x * gate.
 * Park, Woo, Lee, Kweon: BAM, BMVC 2018, arXiv:1807.06514, eq. 1 to 4.
 * As in the authors' code batch normalization and ReLU follow every layer of both branches but the last, where the paper normalizes
 * the last one. That code multiplies the logits (`combine: "product"`), where the paper adds them.
 */
export class BAM extends mechanism({
  id: "bam",
  name: "Bottleneck Attention Module",
  family: "channel-spatial",
  year: 2018,
  paper: "Park, Woo, Lee, Kweon: BAM: Bottleneck Attention Module, BMVC 2018",
  arxiv: "1807.06514",
  formula: String.raw`\mathbf{y} = \mathbf{x}\left(1 + \sigma\!\left(M_c(\mathbf{x}) + M_s(\mathbf{x})\right)\right)`,
  options: z
    .strictObject({
      channels: size,
      reduction: z._default(positive, 16),
      channelLayers: z._default(size, 1),
      dilatedLayers: z._default(z.int().check(z.gte(0)), 2),
      dilation: z._default(size, 4),
      combine: z._default(z.enum(["sum", "product"]), "sum"),
    })
    .check(leavesChannels),
  maps: ({ channels }) => ({
    channelLogits: { kind: "channel-gate", shape: ["batch", channels, 1, 1] },
    spatialLogits: { kind: "spatial", shape: ["batch", 1, "height", "width"] },
    attention: { kind: "spatial", shape: ["batch", channels, "height", "width"], range: [0, 1] },
  }),
  parameters: (options) => {
    const { channels: c, channelLayers, dilatedLayers } = options;
    const h = reducedWidth(options);
    const channel = c * h + 3 * h + (channelLayers - 1) * (h * h + 3 * h) + h * c + c;
    return channel + c * h + 3 * h + dilatedLayers * (9 * h * h + 3 * h) + h + 1;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels: c, channelLayers, dilatedLayers } = options;
    const h = reducedWidth(options);
    const channel = 2 * c * h + (channelLayers - 1) * h * h;
    return batch * (channel + height * width * (c * h + dilatedLayers * 9 * h * h + h));
  },
  refused: [
    { channels: 0 },
    { reduction: 0 },
    { reduction: 1000 },
    { channelLayers: 0 },
    { dilatedLayers: -1 },
    { dilation: 0 },
    { combine: "max" },
  ],
  examples: [
    {
      options: { channels: 8, reduction: 2, dilation: 2 },
      sizes: { batch: 4, height: 5, width: 7 },
    },
    {
      options: { channels: 6, reduction: 2, channelLayers: 2, dilatedLayers: 0, combine: "product" },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
  checkpoints: {
    "Jongchan/attention-module": {
      ...Object.fromEntries(
        [0, 1, 2].flatMap((layer) => [
          [`channel_att.gate_c.gate_c_fc_${layer}`, `channel.hidden.${layer}.fc`],
          [`channel_att.gate_c.gate_c_bn_${layer + 1}`, `channel.hidden.${layer}.bn`],
          [`spatial_att.gate_s.gate_s_conv_di_${layer}`, `spatial.dilated.${layer}.conv`],
          [`spatial_att.gate_s.gate_s_bn_di_${layer}`, `spatial.dilated.${layer}.bn`],
        ]),
      ),
      "channel_att.gate_c.gate_c_fc_final": "channel.final",
      "spatial_att.gate_s.gate_s_conv_reduce0": "spatial.reduce.conv",
      "spatial_att.gate_s.gate_s_bn_reduce0": "spatial.reduce.bn",
      "spatial_att.gate_s.gate_s_conv_final": "spatial.final",
    },
  },
}) {
  readonly channel: ChannelBranch;
  readonly spatial: SpatialBranch;

  constructor(options: Options<typeof BAM>) {
    super(options);
    this.channel = new ChannelBranch(this.options);
    this.spatial = new SpatialBranch(this.options);
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const channel = this.tap("channelLogits", this.channel.forward(x)); // [N, C, 1, 1]
    const spatial = this.tap("spatialLogits", this.spatial.forward(x)); // [N, 1, H, W]
    const join = { sum: add, product: mul }[this.options.combine];
    const gate = this.tap("attention", sigmoid(join(channel, spatial))); // [N, C, H, W]  eq. 2
    return mul(x, add(gate, 1)); // eq. 1
  }
}
