import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, maximum, mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { trailingAxes } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { positive, size } from "../options.js";
import { leavesChannelsWhere, reducedWidth } from "../reduction.js";

/** Spatial squeeze and channel excitation: one gate per channel; TMI paper, section III-A. */
class ChannelExcitation extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor({ channels, hidden }: { channels: number; hidden: number }) {
    super();
    this.fc1 = new Linear({ inFeatures: channels, outFeatures: hidden });
    this.fc2 = new Linear({ inFeatures: hidden, outFeatures: channels });
  }

  /** @param x [N, C, H, W]  @returns the gate [N, C, 1, 1] */
  forward(x: Tensor): Tensor {
    const z = mean(x, { axes: [2, 3], keepDims: false }); // [N, C]
    const gate = sigmoid(this.fc2.forward(relu(this.fc1.forward(z)))); // [N, C]
    return this.tap("attention", reshape(gate, { shape: [-1, x.size(1), 1, 1] }));
  }
}

/** Channel squeeze and spatial excitation: one gate per pixel; TMI paper, section III-B. */
class SpatialExcitation extends Module {
  readonly conv: Conv2d;

  constructor({ channels }: { channels: number }) {
    super();
    this.conv = new Conv2d({ inChannels: channels, outChannels: 1, kernel: 1 });
  }

  /** @param x [N, C, H, W]  @returns the gate [N, 1, H, W] */
  forward(x: Tensor): Tensor {
    return this.tap("attention", sigmoid(this.conv.forward(x)));
  }
}

/**
 * Concurrent spatial and channel squeeze and excitation: a gate per channel and a gate per pixel, joined by maximum or sum.
 * Roy, Navab, Wachinger: Recalibrating Fully Convolutional Networks with Spatial and Channel "Squeeze & Excitation" Blocks, IEEE TMI
 * 2019, arXiv:1808.08127, section III. As in the authors' code all layers have biases, where the paper's formulas have none. Of
 * equal products the gradient is shared.
 */
export class ScSE extends mechanism({
  id: "scse",
  name: "Concurrent Spatial and Channel Squeeze and Excitation",
  family: "channel-spatial",
  year: 2018,
  paper:
    "Roy, Navab, Wachinger: Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks, MICCAI 2018",
  arxiv: "1803.02579",
  formula: String.raw`\mathbf{y} = \max\!\left(\mathbf{x}\,\sigma(W_2\,\delta(W_1\,\mathrm{GAP}(\mathbf{x}))),\ \mathbf{x}\,\sigma(\mathbf{w} * \mathbf{x})\right)`,
  options: z
    .strictObject({
      channels: size,
      reduction: z._default(positive, 2),
      mode: z._default(z.enum(["scse", "cse", "sse"]), "scse"),
      aggregation: z._default(z.enum(["max", "add"]), "max"),
    })
    .check(leavesChannelsWhere(({ mode }) => mode !== "sse")),
  maps: ({ channels, mode }) => ({
    ...(mode === "sse"
      ? {}
      : {
          channel: {
            kind: "channel-gate",
            shape: ["batch", channels, 1, 1],
            range: [0, 1],
            tap: "cSE.attention",
          },
        }),
    ...(mode === "cse"
      ? {}
      : {
          spatial: {
            kind: "spatial",
            shape: ["batch", 1, "height", "width"],
            range: [0, 1],
            tap: "sSE.attention",
          },
        }),
  }),
  parameters: (options) => {
    const [c, h] = [options.channels, reducedWidth(options)];
    return (options.mode === "sse" ? 0 : 2 * c * h + h + c) + (options.mode === "cse" ? 0 : c + 1);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels, mode } = options;
    const channel = mode === "sse" ? 0 : 2 * channels * reducedWidth(options);
    return batch * (channel + (mode === "cse" ? 0 : channels * height * width));
  },
  refused: [
    { channels: 0 },
    { reduction: 0 },
    { reduction: 1000 },
    { mode: "both" },
    { aggregation: "product" },
  ],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 6, aggregation: "add" }, sizes: { batch: 3, height: 4, width: 4 } },
    { options: { channels: 9, mode: "cse", reduction: 4 }, sizes: { batch: 2, height: 3, width: 4 } },
    { options: { channels: 1, mode: "sse" }, sizes: { batch: 2, height: 4, width: 3 } },
  ],
  checkpoints: {
    "ai-med/squeeze_and_excitation": { cSE: "cSE", sSE: "sSE" },
    "qubvel/segmentation_models.pytorch": {
      "cSE.1": "cSE.fc1",
      "cSE.1.weight": trailingAxes(2, "cSE.fc1.weight"),
      "cSE.3": "cSE.fc2",
      "cSE.3.weight": trailingAxes(2, "cSE.fc2.weight"),
      "sSE.0": "sSE.conv",
    },
  },
}) {
  readonly cSE?: ChannelExcitation;
  readonly sSE?: SpatialExcitation;

  constructor(options: Options<typeof ScSE>) {
    super(options);
    const { channels, mode } = this.options;
    if (mode !== "sse") this.cSE = new ChannelExcitation({ channels, hidden: reducedWidth(this.options) });
    if (mode !== "cse") this.sSE = new SpatialExcitation({ channels });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const join = { max: maximum, add }[this.options.aggregation];
    return [this.cSE, this.sSE]
      .flatMap((excitation) => (excitation ? [mul(x, excitation.forward(x))] : []))
      .reduce((channel, spatial) => join(channel, spatial));
  }
}
