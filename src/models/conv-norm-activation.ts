import type { Tensor } from "../graph/tensor.js";
import { Activation } from "../nn/activation.js";
import { BatchNorm, type BatchNormOptions } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { Sequential } from "../nn/sequential.js";
import { kaimingNormal } from "../nn/variables.js";

/** Options of a convolution with normalization and activation. */
export interface ConvNormActivationOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Height and width of the kernel, odd. */
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  /** Of the normalization where it differs from the usual. */
  readonly norm: Omit<BatchNormOptions, "channels">;
  /** None for a linear layer. */
  readonly activation?: (x: Tensor) => Tensor;
}

/** A convolution without bias whose padding keeps the size, batch normalization, activation; torchvision's Conv2dNormActivation. */
export function convNormActivation(options: ConvNormActivationOptions): Sequential {
  const { norm, activation, ...conv } = options;
  const { outChannels, kernel } = conv;
  return new Sequential(
    new Conv2d({
      ...conv,
      padding: (kernel - 1) / 2,
      bias: false,
      initializer: kaimingNormal(outChannels * kernel * kernel),
    }),
    new BatchNorm({ channels: outChannels, ...norm }),
    ...(activation ? [new Activation(activation)] : []),
  );
}
