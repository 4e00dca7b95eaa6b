import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "./batch-norm.js";
import { Conv2d, type Conv2dOptions } from "./conv.js";
import { Module } from "./module.js";

/** Options of a convolution with batch normalization. */
export type ConvNormOptions = Conv2dOptions & {
  /** Share of the new value in the running statistics; 0.1 by default. */
  readonly momentum?: number;
};

/** A 2-D convolution, without bias unless asked for, followed by batch normalization. */
export class ConvNorm extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm;

  constructor({ momentum = 0.1, ...options }: ConvNormOptions) {
    super();
    this.conv = new Conv2d({ bias: false, ...options });
    this.bn = new BatchNorm({ channels: options.outChannels, momentum });
  }

  /** @param x [N, inChannels, H, W]  @returns [N, outChannels, H', W'] */
  forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x));
  }
}
