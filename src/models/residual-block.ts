import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { Module } from "../nn/module.js";
import type { Layer } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";
import { add } from "../ops/arithmetic.js";
import { attend } from "./attend.js";
import type { AttentionFactory } from "./hosted-attention.js";
import { type ShortcutKind, shortcut } from "./shortcut.js";

/** Options of a residual block. */
export interface BlockOptions {
  readonly inChannels: number;
  /** Width of the block; its output has `planes * expansion` channels. */
  readonly planes: number;
  readonly stride: number;
  readonly attention?: AttentionFactory | undefined;
  /** What the shortcut does where the block changes the size or the number of channels; a projection by default. */
  readonly shortcut?: ShortcutKind | undefined;
}

/** A kind of residual block. */
export interface BlockKind {
  /** Output channels per plane. */
  readonly expansion: number;
  create(options: BlockOptions): Layer;
}

/** Residual branch, attention, and the sum with the shortcut. */
export abstract class ResidualBlock extends Module {
  abstract readonly se?: Layer;
  abstract readonly downsample?: Layer;

  /** @param x [N, inChannels, H, W]  @returns [N, planes * expansion, H', W'], before attention */
  protected abstract residual(x: Tensor): Tensor;

  /**
   * @param x [N, inChannels, H, W]  @returns [N, planes * expansion, H/stride, W/stride], rounded up
   * @throws ShapeError for attention that does not keep the shape
   */
  forward(x: Tensor): Tensor {
    const attended = attend(this.se, this.residual(x));
    return this.tap("output", relu(add(attended, this.downsample?.forward(x) ?? x)));
  }
}

/** Two 3x3 convolutions and a shortcut, attention before the sum. He et al.: Deep Residual Learning, CVPR 2016, figure 5 left. */
export class BasicBlock extends ResidualBlock {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm;
  readonly se?: Layer;
  readonly downsample?: Layer;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, planes, stride, attention } = options;
    this.conv1 = new Conv2d({ inChannels, outChannels: planes, kernel: 3, stride, padding: 1, bias: false });
    this.bn1 = new BatchNorm({ channels: planes });
    this.conv2 = new Conv2d({ inChannels: planes, outChannels: planes, kernel: 3, padding: 1, bias: false });
    this.bn2 = new BatchNorm({ channels: planes });
    if (attention) this.se = attention(planes);
    const downsample = shortcut(options, planes);
    if (downsample) this.downsample = downsample;
  }

  static create(options: BlockOptions): BasicBlock {
    return new BasicBlock(options);
  }

  protected residual(x: Tensor): Tensor {
    const hidden = relu(this.bn1.forward(this.conv1.forward(x))); // [N, planes, H', W']
    return this.bn2.forward(this.conv2.forward(hidden));
  }
}

/** 1x1, 3x3 and 1x1 convolutions and a shortcut, attention before the sum; the stride is in the 3x3 as in torchvision. Figure 5 right. */
export class Bottleneck extends ResidualBlock {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm;
  readonly se?: Layer;
  readonly downsample?: Layer;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, planes, stride, attention } = options;
    const outChannels = planes * Bottleneck.expansion;
    this.conv1 = new Conv2d({ inChannels, outChannels: planes, kernel: 1, bias: false });
    this.bn1 = new BatchNorm({ channels: planes });
    this.conv2 = new Conv2d({
      inChannels: planes,
      outChannels: planes,
      kernel: 3,
      stride,
      padding: 1,
      bias: false,
    });
    this.bn2 = new BatchNorm({ channels: planes });
    this.conv3 = new Conv2d({ inChannels: planes, outChannels, kernel: 1, bias: false });
    this.bn3 = new BatchNorm({ channels: outChannels });
    if (attention) this.se = attention(outChannels);
    const downsample = shortcut(options, outChannels);
    if (downsample) this.downsample = downsample;
  }

  static create(options: BlockOptions): Bottleneck {
    return new Bottleneck(options);
  }

  protected residual(x: Tensor): Tensor {
    const reduced = relu(this.bn1.forward(this.conv1.forward(x))); // [N, planes, H, W]
    const hidden = relu(this.bn2.forward(this.conv2.forward(reduced))); // [N, planes, H', W']
    return this.bn3.forward(this.conv3.forward(hidden)); // [N, 4 planes, H', W']
  }
}
