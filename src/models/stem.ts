import { Activation } from "../nn/activation.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { type Layer, Sequential } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";

/** The first convolution of a residual network, before normalization and ReLU. */
export interface Stem {
  readonly conv: Layer;
  readonly channels: number;
  /** Max pooling at stride 2 follows. */
  readonly pools: boolean;
}

interface StemOptions {
  readonly inChannels: number;
  /** Channels of the first stage. */
  readonly firstChannels: number;
  /** Channels of the first two convolutions of a deep stem. */
  readonly stemWidth: number;
}

const imagenetChannels = 64;

function convolution(inChannels: number, outChannels: number, stride = 1): Conv2d {
  return new Conv2d({ inChannels, outChannels, kernel: 3, stride, padding: 1, bias: false });
}

/** The kinds of stem. */
export const stems = {
  /** 7x7 convolution at stride 2. He et al. 2016, table 1. */
  imagenet: ({ inChannels }: StemOptions): Stem => ({
    conv: new Conv2d({
      inChannels,
      outChannels: imagenetChannels,
      kernel: 7,
      stride: 2,
      padding: 3,
      bias: false,
    }),
    channels: imagenetChannels,
    pools: true,
  }),
  /** Three 3x3 convolutions, the first at stride 2. He, Tong: Bag of Tricks, CVPR 2019, arXiv:1812.01187, ResNet-C; timm's names. */
  deep: ({ inChannels, stemWidth }: StemOptions): Stem => ({
    conv: new Sequential(
      convolution(inChannels, stemWidth, 2),
      new BatchNorm({ channels: stemWidth }),
      new Activation(relu),
      convolution(stemWidth, stemWidth),
      new BatchNorm({ channels: stemWidth }),
      new Activation(relu),
      convolution(stemWidth, 2 * stemWidth),
    ),
    channels: 2 * stemWidth,
    pools: true,
  }),
  /** 3x3 convolution to the first stage's channels, for small images. He et al. 2016, section 4.2. */
  small: ({ inChannels, firstChannels }: StemOptions): Stem => ({
    conv: convolution(inChannels, firstChannels),
    channels: firstChannels,
    pools: false,
  }),
};
