import { SplitAttention } from "../attention/branch/resnest.js";
import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import type { Layer } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";
import { averagePool } from "../ops/average-pool.js";
import { type BlockKind, type BlockOptions, ResidualBlock } from "./residual-block.js";
import { shortcut } from "./shortcut.js";

/** Options of a ResNeSt's blocks. */
export interface SplitAttentionOptions {
  /** Splits that are weighted against each other. */
  readonly radix: number;
  /** Cardinal groups. */
  readonly cardinality: number;
  /** Channels of a group per 64 planes. */
  readonly baseWidth: number;
  /** Where a mean over 3x3 pixels takes the place of the stride: before or after the split attention. */
  readonly averageDown?: "before" | "after" | undefined;
}

/**
 * Bottleneck whose 3x3 convolution is a split attention, with timm's names.
 * Zhang et al.: ResNeSt: Split-Attention Networks, CVPR Workshops 2022, arXiv:2004.08955, section 3.
 */
class SplitAttentionBottleneck extends ResidualBlock {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly conv2: SplitAttention;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm;
  readonly se?: Layer;
  readonly downsample?: Layer;
  readonly #averageDown: { readonly stride: number; readonly place: "before" | "after" } | undefined;

  constructor(options: BlockOptions, split: SplitAttentionOptions) {
    super();
    const { inChannels, planes, stride, attention } = options;
    const { radix, cardinality: groups, baseWidth, averageDown } = split;
    const outChannels = planes * SplitAttentionBottleneck.expansion;
    const width = Math.floor((planes * baseWidth) / 64) * groups;
    this.#averageDown = averageDown && stride > 1 ? { stride, place: averageDown } : undefined;
    this.conv1 = new Conv2d({ inChannels, outChannels: width, kernel: 1, bias: false });
    this.bn1 = new BatchNorm({ channels: width });
    this.conv2 = new SplitAttention({
      inChannels: width,
      groups,
      radix,
      stride: this.#averageDown ? 1 : stride,
    });
    this.conv3 = new Conv2d({ inChannels: width, outChannels, kernel: 1, bias: false });
    this.bn3 = new BatchNorm({ channels: outChannels });
    if (attention) this.se = attention(outChannels);
    const downsample = shortcut(options, outChannels);
    if (downsample) this.downsample = downsample;
  }

  protected residual(x: Tensor): Tensor {
    const reduced = relu(this.bn1.forward(this.conv1.forward(x))); // [N, width, H, W]
    const hidden = this.#average(this.conv2.forward(this.#average(reduced, "before")), "after"); // [N, width, H', W']
    return this.bn3.forward(this.conv3.forward(hidden)); // [N, 4 planes, H', W']
  }

  /** Mean over 3x3 pixels at the block's stride, padding counted, if this is the place for it. */
  #average(x: Tensor, place: "before" | "after"): Tensor {
    if (this.#averageDown?.place !== place) return x;
    return averagePool(x, { kernel: [3, 3], stride: this.#averageDown.stride, padding: 1 });
  }
}

/** Bottlenecks with split attention. */
export function splitAttentionBottleneck(split: SplitAttentionOptions): BlockKind {
  return {
    expansion: SplitAttentionBottleneck.expansion,
    create: (options) => new SplitAttentionBottleneck(options, split),
  };
}
