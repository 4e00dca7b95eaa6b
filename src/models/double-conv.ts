import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { Module } from "../nn/module.js";
import type { Layer } from "../nn/sequential.js";
import { kaimingNormal } from "../nn/variables.js";
import { relu } from "../ops/activation.js";
import { attend } from "./attend.js";
import type { AttentionFactory } from "./hosted-attention.js";

/** Two 3x3 convolutions, each with batch normalization and ReLU, then attention. */
export class DoubleConv extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm;
  readonly se?: Layer;

  constructor(options: {
    readonly inChannels: number;
    readonly hiddenChannels: number;
    readonly outChannels: number;
    readonly attention?: AttentionFactory | undefined;
  }) {
    super();
    const { inChannels, hiddenChannels, outChannels, attention } = options;
    this.conv1 = convolution(inChannels, hiddenChannels);
    this.bn1 = new BatchNorm({ channels: hiddenChannels });
    this.conv2 = convolution(hiddenChannels, outChannels);
    this.bn2 = new BatchNorm({ channels: outChannels });
    if (attention) this.se = attention(outChannels);
  }

  /**
   * @param x [N, inChannels, H, W]  @returns [N, outChannels, H, W]
   * @throws ShapeError for attention that does not keep the shape
   */
  forward(x: Tensor): Tensor {
    const hidden = relu(this.bn1.forward(this.conv1.forward(x))); // [N, hiddenChannels, H, W]
    const y = relu(this.bn2.forward(this.conv2.forward(hidden))); // [N, outChannels, H, W]
    return this.tap("output", attend(this.se, y));
  }
}

/** Initialized as U-Net's section 3 asks for. */
function convolution(inChannels: number, outChannels: number): Conv2d {
  return new Conv2d({
    inChannels,
    outChannels,
    kernel: 3,
    padding: 1,
    bias: false,
    initializer: kaimingNormal(9 * inChannels),
  });
}
