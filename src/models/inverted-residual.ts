import type { Tensor } from "../graph/tensor.js";
import type { BatchNormOptions } from "../nn/batch-norm.js";
import { Module } from "../nn/module.js";
import type { Layer, Sequential } from "../nn/sequential.js";
import { add } from "../ops/arithmetic.js";
import { attend } from "./attend.js";
import { convNormActivation } from "./conv-norm-activation.js";
import type { AttentionFactory } from "./hosted-attention.js";

/** Options of an inverted residual block. */
export interface InvertedResidualOptions {
  readonly inChannels: number;
  /** Channels of the depthwise convolution. */
  readonly expandedChannels: number;
  readonly outChannels: number;
  /** Height and width of the depthwise kernel, odd. */
  readonly kernel: number;
  readonly stride: number;
  readonly activation: (x: Tensor) => Tensor;
  readonly norm: Omit<BatchNormOptions, "channels">;
  /** Attention after the depthwise convolution. */
  readonly attention?: AttentionFactory | undefined;
}

/**
 * Inverted residual block: a 1x1 convolution to more channels, a depthwise convolution, attention, a linear 1x1 convolution to few
 * channels, and the sum with the input where nothing changes its shape.
 * Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2, CVPR 2018, arXiv:1801.04381, figure 4; attention: arXiv:1905.02244, figure 4.
 */
export abstract class InvertedResidual extends Module {
  /** Absent where there are no more channels inside. */
  readonly expand?: Layer;
  readonly depthwise: Layer;
  readonly attention?: Layer;
  readonly project: Sequential;
  readonly stride: number;
  readonly #keepsShape: boolean;

  constructor(options: InvertedResidualOptions) {
    super();
    const { inChannels, expandedChannels, outChannels, kernel, stride, activation, norm, attention } =
      options;
    const pointwise = { kernel: 1, norm };
    if (expandedChannels !== inChannels) {
      this.expand = convNormActivation({
        ...pointwise,
        inChannels,
        outChannels: expandedChannels,
        activation,
      });
    }
    this.depthwise = convNormActivation({
      inChannels: expandedChannels,
      outChannels: expandedChannels,
      groups: expandedChannels,
      kernel,
      stride,
      norm,
      activation,
    });
    if (attention) this.attention = attention(expandedChannels);
    this.project = convNormActivation({ ...pointwise, inChannels: expandedChannels, outChannels });
    this.stride = stride;
    this.#keepsShape = stride === 1 && inChannels === outChannels;
  }

  /**
   * @param x [N, inChannels, H, W]  @returns [N, outChannels, H/stride, W/stride], rounded up
   * @throws ShapeError for attention that does not keep the shape
   */
  forward(x: Tensor): Tensor {
    const expanded = this.expand?.forward(x) ?? x; // [N, expandedChannels, H, W]
    const hidden = attend(this.attention, this.depthwise.forward(expanded)); // [N, expandedChannels, H', W']
    const y = this.project.forward(hidden); // [N, outChannels, H', W']
    return this.tap("output", this.#keepsShape ? add(x, y) : y);
  }
}
