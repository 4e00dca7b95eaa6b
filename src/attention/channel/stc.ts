import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { reshape, transpose } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { leavesChannels, type ReductionOptions, reducedWidth } from "../reduction.js";

const gates = { sigmoid, none: (e: Tensor) => e };

/** Hidden widths of the temporal and of the spatial branch. */
function hiddenWidths(options: ReductionOptions & { readonly frames: number }): [number, number] {
  const { channels, frames, reduction } = options;
  return [reducedWidth(options), reducedWidth({ channels: frames * channels, reduction })];
}

/** Two fully connected layers with a ReLU between them. */
class Branch extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor({ features, hidden, channels }: { features: number; hidden: number; channels: number }) {
    super();
    this.fc1 = new Linear({ inFeatures: features, outFeatures: hidden });
    this.fc2 = new Linear({ inFeatures: hidden, outFeatures: channels });
  }

  /** @param z [N, features]  @returns [N, channels] */
  forward(z: Tensor): Tensor {
    return this.fc2.forward(relu(this.fc1.forward(z)));
  }
}

/**
 * Spatio-temporal channel correlation block: the mean of two channel gates on a video, one from the mean over the whole clip, one
 * from the means of its frames.
 * Diba, Fayyaz, Sharma, Arzani, Yousefzadeh, Gall, Van Gool: Spatio-Temporal Channel Correlation Networks for Action
 * Classification, ECCV 2018, arXiv:1806.07754, section 3. The residual connection is the caller's.
 * No code was published. Where the paper is silent the block follows squeeze-and-excitation: a sigmoid on each gate (`gate: "none"`
 * leaves it out), biases, a reduction of 4; the means of the frames are joined frame by frame.
 */
export class STC extends mechanism({
  id: "stc",
  name: "Spatio-Temporal Channel Correlation",
  family: "channel",
  year: 2018,
  paper:
    "Diba, Fayyaz, Sharma, Arzani, Yousefzadeh, Gall, Van Gool: Spatio-Temporal Channel Correlation Networks for Action Classification, ECCV 2018",
  arxiv: "1806.07754",
  formula: String.raw`\mathbf{y} = \tfrac{1}{2}(\mathbf{s}_t + \mathbf{s}_s)\,\mathbf{x},\quad \mathbf{s}_t = \sigma(W_2\,\delta(W_1\,\mathrm{GAP}_{thw}(\mathbf{x}))),\quad \mathbf{s}_s = \sigma(V_2\,\delta(V_1\,\mathrm{GAP}_{hw}(\mathbf{x})))`,
  options: z
    .strictObject({
      channels: size,
      frames: size,
      reduction: z._default(size, 4),
      gate: z._default(z.enum(["sigmoid", "none"]), "sigmoid"),
    })
    .check(leavesChannels),
  maps: ({ channels, gate }) => {
    const map = {
      kind: "channel-gate" as const,
      shape: ["batch", channels, 1, 1, 1],
      ...(gate === "sigmoid" ? { range: [0, 1] as const } : {}),
    };
    return { temporal: map, spatial: map };
  },
  calls: ({ channels, frames }) => {
    const video = ["batch", channels, frames, "height", "width"];
    return { forward: { inputs: { x: { shape: video } }, outputs: { y: video } } };
  },
  parameters: (options) => {
    const { channels: c, frames: t } = options;
    const [a, b] = hiddenWidths(options);
    return 2 * c * a + a + c + (t * c * b + b * c + b + c);
  },
  macs: (options, { batch = 1 }) => {
    const { channels: c, frames: t } = options;
    const [a, b] = hiddenWidths(options);
    return batch * (2 * c * a + t * c * b + b * c);
  },
  refused: [
    { channels: 0 },
    { frames: 0 },
    { frames: undefined },
    { reduction: 0 },
    { reduction: 1000 },
    { gate: "softmax" },
  ],
  examples: [
    { options: { channels: 8, frames: 3 }, sizes: { batch: 2, height: 4, width: 5 } },
    {
      options: { channels: 6, frames: 4, reduction: 2, gate: "none" },
      sizes: { batch: 3, height: 3, width: 2 },
    },
  ],
}) {
  /** Temporal channel correlation branch. */
  readonly tcb: Branch;
  /** Spatial channel correlation branch. */
  readonly scb: Branch;

  constructor(options: Options<typeof STC>) {
    super(options);
    const { channels, frames } = this.options;
    const [temporal, spatial] = hiddenWidths(this.options);
    this.tcb = new Branch({ features: channels, hidden: temporal, channels });
    this.scb = new Branch({ features: frames * channels, hidden: spatial, channels });
  }

  /** @param x [N, C, T, H, W]  @returns [N, C, T, H, W] */
  forward(x: Tensor): Tensor {
    const { channels, frames } = this.options;
    const gate = (e: Tensor) => reshape(gates[this.options.gate](e), { shape: [-1, channels, 1, 1, 1] });
    const frameMeans = mean(x, { axes: [3, 4], keepDims: false }); // [N, C, T]
    const clipMeans = mean(frameMeans, { axes: [2], keepDims: false }); // [N, C]
    const joined = reshape(transpose(frameMeans, { perm: [0, 2, 1] }), { shape: [-1, frames * channels] });
    const temporal = this.tap("temporal", gate(this.tcb.forward(clipMeans)));
    const spatial = this.tap("spatial", gate(this.scb.forward(joined)));
    return mul(x, mul(add(temporal, spatial), 0.5));
  }
}
