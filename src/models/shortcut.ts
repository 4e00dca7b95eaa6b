import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { Module } from "../nn/module.js";
import { type Layer, Sequential } from "../nn/sequential.js";
import { averagePool } from "../ops/average-pool.js";
import { pad, slice } from "../ops/shape.js";

interface Change {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly stride: number;
}

/** Means of windows of 2x2 side by side, a last one that is cut off included; the input itself at stride 1. */
class AverageDown extends Module {
  readonly #stride: number;

  constructor(stride: number) {
    super();
    this.#stride = stride;
  }

  /** @param x [N, C, H, W]  @returns [N, C, H/stride, W/stride], rounded up */
  forward(x: Tensor): Tensor {
    if (this.#stride === 1) return x;
    return averagePool(x, { kernel: [2, 2], stride: this.#stride, ceilMode: true, countIncludePad: false });
  }
}

/** Every stride-th pixel, with zeros for the channels that are new, half of them before and half after the others. */
class PaddedShortcut extends Module {
  readonly #change: Change;

  constructor(change: Change) {
    super();
    this.#change = change;
  }

  /** @param x [N, inChannels, H, W]  @returns [N, outChannels, H/stride, W/stride], rounded up */
  forward(x: Tensor): Tensor {
    const { inChannels, outChannels, stride } = this.#change;
    const size = [x.size(2), x.size(3)];
    const pixels =
      stride === 1 ? x : slice(x, { axes: [2, 3], starts: [0, 0], ends: size, steps: [stride, stride] });
    const before = Math.floor((outChannels - inChannels) / 2);
    return pad(pixels, { pads: [0, before, 0, 0, 0, outChannels - inChannels - before, 0, 0] });
  }
}

const shortcuts = {
  /** 1x1 convolution with the stride; option B of He et al. 2016, section 3.3. */
  projection: ({ stride, ...channels }: Change) =>
    new Sequential(
      new Conv2d({ ...channels, kernel: 1, stride, bias: false }),
      new BatchNorm({ channels: channels.outChannels }),
    ),
  /** Mean of 2x2 pixels, then a 1x1 convolution. He, Tong: Bag of Tricks, CVPR 2019, arXiv:1812.01187, ResNet-D. */
  averagedProjection: ({ stride, ...channels }: Change) =>
    new Sequential(
      new AverageDown(stride),
      new Conv2d({ ...channels, kernel: 1, bias: false }),
      new BatchNorm({ channels: channels.outChannels }),
    ),
  /** Nothing to be learned; option A of He et al. 2016. */
  padding: (change: Change) => new PaddedShortcut(change),
};

/** What a shortcut does where a block changes the size or the number of channels. */
export type ShortcutKind = keyof typeof shortcuts;

/** The layer of a block's shortcut; none where the block keeps size and channels. */
export function shortcut(
  block: {
    readonly inChannels: number;
    readonly stride: number;
    readonly shortcut?: ShortcutKind | undefined;
  },
  outChannels: number,
): Layer | undefined {
  const { inChannels, stride, shortcut: kind = "projection" } = block;
  if (stride === 1 && inChannels === outChannels) return undefined;
  return shortcuts[kind]({ inChannels, outChannels, stride });
}
