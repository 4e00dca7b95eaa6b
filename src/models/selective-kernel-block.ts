import { SelectiveKernel } from "../attention/branch/sk.js";
import type { Tensor } from "../graph/tensor.js";
import { ConvNorm } from "../nn/conv-norm.js";
import type { Layer } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";
import { type BlockKind, type BlockOptions, ResidualBlock } from "./residual-block.js";
import { shortcut } from "./shortcut.js";

/** Options of the selective kernels in a block. */
export interface SelectiveKernelOptions {
  /** Channels per channel of the description that selects. */
  readonly reduction: number;
  readonly reductionDivisor: number;
  /** Each branch sees its own half of the channels. */
  readonly splitInput: boolean;
}

/** A 3x3 selective kernel convolution and a 3x3 convolution, with timm's names. Li et al.: Selective Kernel Networks, CVPR 2019. */
class SelectiveKernelBasicBlock extends ResidualBlock {
  readonly conv1: SelectiveKernel;
  readonly conv2: ConvNorm;
  readonly se?: Layer;
  readonly downsample?: Layer;

  constructor(options: BlockOptions, sk: SelectiveKernelOptions) {
    super();
    const { inChannels, planes, stride, attention } = options;
    this.conv1 = new SelectiveKernel({ inChannels, outChannels: planes, stride, ...sk });
    this.conv2 = new ConvNorm({ inChannels: planes, outChannels: planes, kernel: 3, padding: 1 });
    if (attention) this.se = attention(planes);
    const downsample = shortcut(options, planes);
    if (downsample) this.downsample = downsample;
  }

  protected residual(x: Tensor): Tensor {
    return this.conv2.forward(this.conv1.forward(x));
  }
}

/** A bottleneck whose 3x3 convolution is one of selective kernels, with timm's names. Unlike in SKNet-50 it has no groups and ResNet's width. */
class SelectiveKernelBottleneck extends ResidualBlock {
  static readonly expansion = 4;
  readonly conv1: ConvNorm;
  readonly conv2: SelectiveKernel;
  readonly conv3: ConvNorm;
  readonly se?: Layer;
  readonly downsample?: Layer;

  constructor(options: BlockOptions, sk: SelectiveKernelOptions) {
    super();
    const { inChannels, planes, stride, attention } = options;
    const outChannels = planes * SelectiveKernelBottleneck.expansion;
    this.conv1 = new ConvNorm({ inChannels, outChannels: planes, kernel: 1 });
    this.conv2 = new SelectiveKernel({ inChannels: planes, outChannels: planes, stride, ...sk });
    this.conv3 = new ConvNorm({ inChannels: planes, outChannels, kernel: 1 });
    if (attention) this.se = attention(outChannels);
    const downsample = shortcut(options, outChannels);
    if (downsample) this.downsample = downsample;
  }

  protected residual(x: Tensor): Tensor {
    return this.conv3.forward(this.conv2.forward(relu(this.conv1.forward(x))));
  }
}

/** Basic blocks with selective kernels. */
export function selectiveKernelBasicBlock(sk: SelectiveKernelOptions): BlockKind {
  return { expansion: 1, create: (options) => new SelectiveKernelBasicBlock(options, sk) };
}

/** Bottlenecks with selective kernels. */
export function selectiveKernelBottleneck(sk: SelectiveKernelOptions): BlockKind {
  return {
    expansion: SelectiveKernelBottleneck.expansion,
    create: (options) => new SelectiveKernelBottleneck(options, sk),
  };
}
