import { OptionError } from "../base/errors.js";
import type { Model } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Conv2d } from "../nn/conv.js";
import { Linear } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { Layer } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";
import { maxPool } from "../ops/pool.js";
import { mean } from "../ops/reduce.js";
import type { AttentionFactory, BlockType } from "./residual-block.js";

/** Options of a residual network. */
export interface ResNetOptions {
  readonly block: BlockType;
  /** Blocks per stage. */
  readonly layers: readonly number[];
  /** Planes of each stage's blocks. */
  readonly channels: readonly number[];
  /** `imagenet`: 7x7 convolution to 64 channels at stride 2, max pooling. `small`: 3x3 convolution to the first stage's channels. */
  readonly stem: "imagenet" | "small";
  readonly inChannels: number;
  readonly numClasses: number;
  /** Attention at the end of every block. */
  readonly attention?: AttentionFactory | undefined;
}

const stemChannels = 64;

/**
 * Residual network with the names of torchvision and timm: conv1, bn1, layer1.0 ... , fc.
 * He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385; section 4.2 for the small stem.
 */
export class ResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly stages: readonly (readonly Layer[])[];
  readonly fc: Linear;
  readonly #stem: ResNetOptions["stem"];

  /** @throws OptionError where layers and channels differ in length */
  constructor(options: ResNetOptions) {
    super();
    const { block: Block, layers, channels, stem, inChannels, numClasses, attention } = options;
    if (layers.length === 0 || layers.length !== channels.length) {
      throw new OptionError(
        `ResNet: layers [${layers}] and channels [${channels}] must have one entry per stage`,
      );
    }
    this.#stem = stem;
    const width = stem === "imagenet" ? stemChannels : channels[0]!;
    const geometry = stem === "imagenet" ? { kernel: 7, stride: 2, padding: 3 } : { kernel: 3, padding: 1 };
    this.conv1 = new Conv2d({ inChannels, outChannels: width, bias: false, ...geometry });
    this.bn1 = new BatchNorm({ channels: width });
    let last = width;
    this.stages = layers.map((count, stage) =>
      Array.from({ length: count }, (_, index) => {
        const planes = channels[stage]!;
        const stride = stage > 0 && index === 0 ? 2 : 1;
        const block = new Block({ inChannels: last, planes, stride, attention });
        last = planes * Block.expansion;
        return block;
      }),
    );
    this.fc = new Linear({ inFeatures: last, outFeatures: numClasses });
  }

  override *ownParts(): Generator<readonly [string, Model]> {
    yield ["conv1", this.conv1];
    yield ["bn1", this.bn1];
    for (const [stage, blocks] of this.stages.entries()) {
      for (const [index, block] of blocks.entries()) yield [`layer${stage + 1}.${index}`, block];
    }
    yield ["fc", this.fc];
  }

  /** Tap of the last block's feature maps, the usual place to look with Grad-CAM. */
  get lastFeatures(): string {
    return `layer${this.stages.length}.${this.stages.at(-1)!.length - 1}.output`;
  }

  /** @param x [N, inChannels, H, W]  @returns logits [N, numClasses] */
  forward(x: Tensor): Tensor {
    const hidden = relu(this.bn1.forward(this.conv1.forward(x)));
    const stem =
      this.#stem === "imagenet" ? maxPool(hidden, { kernel: [3, 3], stride: 2, padding: 1 }) : hidden;
    const features = this.stages
      .flat()
      .reduce((value, block) => block.forward(value), this.tap("stem", stem));
    return this.fc.forward(mean(features, { axes: [2, 3], keepDims: false }));
  }
}
