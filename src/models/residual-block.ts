import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { Module } from "../nn/module.js";
import { type Layer, Sequential } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";
import { add } from "../ops/arithmetic.js";

/** Makes the attention of a block from the number of channels that it sees. */
export type AttentionFactory = (channels: number) => Layer;

/** Options of a residual block. */
export interface BlockOptions {
  readonly inChannels: number;
  /** Width of the block; its output has `planes * expansion` channels. */
  readonly planes: number;
  readonly stride: number;
  readonly attention?: AttentionFactory | undefined;
}

/** A kind of residual block. */
export interface BlockType {
  new (options: BlockOptions): Layer;
  /** Output channels per plane. */
  readonly expansion: number;
}

/** Projects the shortcut where a block changes the size or the number of channels. */
function projection({ inChannels, stride }: BlockOptions, outChannels: number): Sequential | undefined {
  if (stride === 1 && inChannels === outChannels) return undefined;
  return new Sequential(
    new Conv2d({ inChannels, outChannels, kernel: 1, stride, bias: false }),
    new BatchNorm({ channels: outChannels }),
  );
}

/** Two 3x3 convolutions and a shortcut, attention before the sum. He et al.: Deep Residual Learning, CVPR 2016, figure 5 left. */
export class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm;
  readonly se?: Layer;
  readonly downsample?: Sequential;

  constructor(options: BlockOptions) {
    super();
    const { inChannels, planes, stride, attention } = options;
    this.conv1 = new Conv2d({ inChannels, outChannels: planes, kernel: 3, stride, padding: 1, bias: false });
    this.bn1 = new BatchNorm({ channels: planes });
    this.conv2 = new Conv2d({ inChannels: planes, outChannels: planes, kernel: 3, padding: 1, bias: false });
    this.bn2 = new BatchNorm({ channels: planes });
    if (attention) this.se = attention(planes);
    const downsample = projection(options, planes);
    if (downsample) this.downsample = downsample;
  }

  /** @param x [N, inChannels, H, W]  @returns [N, planes, H/stride, W/stride] */
  forward(x: Tensor): Tensor {
    const hidden = relu(this.bn1.forward(this.conv1.forward(x)));
    const residual = this.bn2.forward(this.conv2.forward(hidden));
    const attended = this.se?.forward(residual) ?? residual;
    return this.tap("output", relu(add(attended, this.downsample?.forward(x) ?? x)));
  }
}

/** 1x1, 3x3 and 1x1 convolutions and a shortcut, attention before the sum; the stride is in the 3x3 as in torchvision. Figure 5 right. */
export class Bottleneck extends Module {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm;
  readonly se?: Layer;
  readonly downsample?: Sequential;

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
    const downsample = projection(options, outChannels);
    if (downsample) this.downsample = downsample;
  }

  /** @param x [N, inChannels, H, W]  @returns [N, 4 planes, H/stride, W/stride] */
  forward(x: Tensor): Tensor {
    const reduced = relu(this.bn1.forward(this.conv1.forward(x)));
    const hidden = relu(this.bn2.forward(this.conv2.forward(reduced)));
    const residual = this.bn3.forward(this.conv3.forward(hidden));
    const attended = this.se?.forward(residual) ?? residual;
    return this.tap("output", relu(add(attended, this.downsample?.forward(x) ?? x)));
  }
}
