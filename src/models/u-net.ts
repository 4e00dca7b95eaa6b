import type { CheckpointLayout } from "../attention/checkpoint-layout.js";
import { checkInteger } from "../base/check.js";
import { ShapeError } from "../base/errors.js";
import type { Tensor } from "../graph/tensor.js";
import { Conv2d } from "../nn/conv.js";
import { ConvTranspose2d } from "../nn/conv-transpose.js";
import { Module } from "../nn/module.js";
import type { Layer } from "../nn/sequential.js";
import { maxPool } from "../ops/pool.js";
import { interpolate } from "../ops/resize.js";
import { concat, pad } from "../ops/shape.js";
import { DoubleConv } from "./double-conv.js";
import type { AttentionFactory } from "./hosted-attention.js";
import type { ImageModel } from "./image-model.js";

/** The ways to double feature maps. */
export const upsamplings = ["transposed", "bilinear"] as const;
/** `transposed`: a transposed convolution that halves the channels; `bilinear`: interpolation, with half the channels at each level. */
export type Upsampling = (typeof upsamplings)[number];

/** Lets pass what a coarser feature map finds important in a finer one, whose shape it keeps. */
export type SkipGate = Module & {
  forward(inputs: { readonly x: Tensor; readonly gate: Tensor }): Tensor;
};

/** Makes the gate of a skip connection from the channels of the skipped and of the coarser feature map. */
export type SkipGateFactory = (sizes: {
  readonly channels: number;
  readonly gateChannels: number;
}) => SkipGate;

/** Options of a U-Net. */
export interface UNetOptions {
  readonly inChannels: number;
  readonly numClasses: number;
  /** Channels of the first level, which double from level to level; 64 by default. */
  readonly baseChannels?: number;
  /** How many times the image is halved, 1 to 8; 4 by default. */
  readonly depth?: number;
  /** `transposed` by default. */
  readonly upsampling?: Upsampling;
  /** Attention at the end of every block. */
  readonly attention?: AttentionFactory | undefined;
  /** Gates on the skip connections, which get the coarser level's features as gating signal. */
  readonly gate?: SkipGateFactory | undefined;
}

const maxDepth = 8;

/** Bilinear interpolation to twice the size, corners on corners. */
class DoubleSize extends Module {
  /** @param x [N, C, H, W]  @returns [N, C, 2H, 2W] */
  forward(x: Tensor): Tensor {
    return interpolate(x, { size: [2 * x.size(2), 2 * x.size(3)], mode: "linear", alignCorners: true });
  }
}

/** Doubles a coarse feature map, puts the skipped one beside it, and convolves both. */
class UpBlock extends Module {
  readonly up: Layer;
  readonly gate?: SkipGate;
  readonly block: DoubleConv;

  constructor(options: {
    readonly skipChannels: number;
    readonly coarseChannels: number;
    readonly outChannels: number;
    readonly upsampling: Upsampling;
    readonly attention?: AttentionFactory | undefined;
    readonly gate?: SkipGateFactory | undefined;
  }) {
    super();
    const { skipChannels, coarseChannels, outChannels, upsampling, attention, gate } = options;
    this.up =
      upsampling === "bilinear"
        ? new DoubleSize()
        : new ConvTranspose2d({
            inChannels: coarseChannels,
            outChannels: skipChannels,
            kernel: 2,
            stride: 2,
          });
    if (gate) this.gate = gate({ channels: skipChannels, gateChannels: coarseChannels });
    this.block = new DoubleConv({
      inChannels: 2 * skipChannels,
      hiddenChannels: skipChannels,
      outChannels,
      attention,
    });
  }

  /** @param inputs.skip [N, C, H, W]  @param inputs.coarse [N, D, H/2, W/2], rounded down  @returns [N, outChannels, H, W] */
  forward({ skip, coarse }: { readonly skip: Tensor; readonly coarse: Tensor }): Tensor {
    const kept = this.gate?.forward({ x: skip, gate: coarse }) ?? skip; // [N, C, H, W]
    const grown = padTo(this.up.forward(coarse), skip); // [N, C, H, W]
    return this.block.forward(concat([kept, grown], { axis: 1 }));
  }
}

/** Zeros for the last row and column that pooling has left out. */
function padTo(x: Tensor, like: Tensor): Tensor {
  const [rows, columns] = [like.size(2) - x.size(2), like.size(3) - x.size(3)];
  return rows + columns === 0 ? x : pad(x, { pads: [0, 0, 0, 0, 0, 0, rows, columns] });
}

/** Names of the public PyTorch code that is used most. */
const reference: CheckpointLayout = Object.fromEntries([
  ...Array.from({ length: maxDepth + 1 }, (_, level) =>
    doubleConvNames(level === 0 ? "inc" : `down${level}.maxpool_conv.1`, `encoder.${level}`),
  ).flat(),
  ...Array.from({ length: maxDepth }, (_, level) => [
    [`up${level + 1}.up`, `decoder.${level}.up`],
    ...doubleConvNames(`up${level + 1}.conv`, `decoder.${level}.block`),
  ]).flat(),
  ["outc.conv", "head"],
]);

function doubleConvNames(theirs: string, ours: string): [string, string][] {
  return Object.entries({ 0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2" }).map(([index, name]) => [
    `${theirs}.double_conv.${index}`,
    `${ours}.${name}`,
  ]);
}

/**
 * U-Net: levels of two convolutions and a halving, then back up, each level with its counterpart's features beside it.
 * Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, arXiv:1505.04597, figure 1.
 * Deviations, as usual today: padding keeps the size, and batch normalization follows each convolution. With gates on the skip
 * connections it is Attention U-Net: Oktay et al., MIDL 2018, arXiv:1804.03999. `loadCheckpoint` knows the keys of milesial/Pytorch-UNet.
 */
export class UNet extends Module implements ImageModel {
  static readonly about = { id: "u-net", checkpoints: { "milesial/Pytorch-UNet": reference } };
  readonly encoder: readonly DoubleConv[];
  readonly decoder: readonly UpBlock[];
  readonly head: Conv2d;

  /** @throws OptionError for a depth that is no integer from 1 to 8, or channels that are no integers of at least 1 */
  constructor(options: UNetOptions) {
    super();
    const { inChannels, numClasses, baseChannels = 64, depth = 4, ...others } = options;
    const { upsampling = "transposed", attention, gate } = others;
    checkInteger("UNet", "depth", depth, { min: 1, max: maxDepth });
    const divisor = upsampling === "bilinear" ? 2 : 1;
    checkInteger("UNet", "baseChannels", baseChannels, { min: 1 });
    const channels = Array.from({ length: depth + 1 }, (_, level) => baseChannels * 2 ** level);
    this.encoder = channels.map((width, level) => {
      const outChannels = level === depth ? width / divisor : width;
      return new DoubleConv({
        inChannels: channels[level - 1] ?? inChannels,
        hiddenChannels: outChannels,
        outChannels,
        attention,
      });
    });
    this.decoder = channels
      .slice(0, depth)
      .map((skipChannels, level) => {
        return new UpBlock({
          skipChannels,
          coarseChannels: channels[level + 1]! / divisor,
          outChannels: level === 0 ? skipChannels : skipChannels / divisor,
          upsampling,
          attention,
          gate,
        });
      })
      .reverse();
    this.head = new Conv2d({ inChannels: baseChannels, outChannels: numClasses, kernel: 1 });
  }

  /** `stage1` ... on the way down, `up1` ... on the way back. */
  get features(): Readonly<Record<string, string>> {
    return Object.fromEntries([
      ...this.encoder.map((_, level) => [`stage${level + 1}`, `encoder.${level}.output`]),
      ...this.decoder.map((_, level) => [`up${level + 1}`, `decoder.${level}.block.output`]),
    ]);
  }

  /** Tap of the feature maps of which the last convolution makes the classes' scores. */
  get lastFeatures(): string {
    return `decoder.${this.decoder.length - 1}.block.output`;
  }

  /**
   * @param x [N, inChannels, H, W] of any size from 2^depth pixels a side  @returns logits [N, numClasses, H, W]
   * @throws ShapeError for a smaller image
   */
  forward(x: Tensor): Tensor {
    const smallest = 2 ** this.decoder.length;
    if (x.size(2) < smallest || x.size(3) < smallest) {
      throw new ShapeError(
        `a U-Net of depth ${this.decoder.length} takes images of at least ${smallest}x${smallest} pixels, found ${x.size(2)}x${x.size(3)}`,
      );
    }
    const [first, ...others] = this.encoder as [DoubleConv, ...DoubleConv[]];
    const levels = [first.forward(x)]; // [N, C, H, W], [N, 2C, H/2, W/2] ...
    for (const block of others)
      levels.push(block.forward(maxPool(levels.at(-1)!, { kernel: [2, 2], stride: 2 })));
    const features = this.decoder.reduce(
      (coarse, block, index) => block.forward({ skip: levels.at(-2 - index)!, coarse }),
      levels.at(-1)!,
    );
    return this.head.forward(features);
  }
}
