import { OptionError } from "../base/errors.js";
import type { Model } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { BatchNorm } from "../nn/batch-norm.js";
import { Linear } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { Layer } from "../nn/sequential.js";
import { relu } from "../ops/activation.js";
import { maxPool } from "../ops/pool.js";
import { mean } from "../ops/reduce.js";
import type { AttentionFactory } from "./hosted-attention.js";
import type { ImageModel } from "./image-model.js";
import type { BlockKind } from "./residual-block.js";
import type { ShortcutKind } from "./shortcut.js";
import { type Stem, stems } from "./stem.js";

/** Options of a residual network. */
export interface ResNetOptions {
  readonly block: BlockKind;
  /** Blocks per stage. */
  readonly layers: readonly number[];
  /** Planes of each stage's blocks. */
  readonly channels: readonly number[];
  /**
   * `imagenet`: 7x7 convolution to 64 channels at stride 2, max pooling. `deep`: three 3x3 convolutions to twice `stemWidth` channels
   * instead. `small`: 3x3 convolution to the first stage's channels.
   */
  readonly stem: keyof typeof stems;
  /** Channels of the first two convolutions of a deep stem; 32 by default. */
  readonly stemWidth?: number;
  readonly inChannels: number;
  readonly numClasses: number;
  /** Attention at the end of every block. */
  readonly attention?: AttentionFactory | undefined;
  /** What shortcuts do where a block changes the size or the number of channels; a projection by default. */
  readonly shortcut?: ShortcutKind;
}

/**
 * Residual network with the names of torchvision and timm: conv1, bn1, layer1.0 ... , fc.
 * He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385; section 4.2 for the small stem.
 */
export class ResNet extends Module implements ImageModel {
  readonly conv1: Layer;
  readonly bn1: BatchNorm;
  readonly stages: readonly (readonly Layer[])[];
  readonly fc: Linear;
  readonly #stem: Stem;

  /** @throws OptionError where layers and channels differ in length */
  constructor(options: ResNetOptions) {
    super();
    const { block: kind, layers, channels, stemWidth = 32, inChannels, numClasses, ...others } = options;
    if (layers.length === 0 || layers.length !== channels.length) {
      throw new OptionError(
        `ResNet: layers [${layers}] and channels [${channels}] must have one entry per stage`,
      );
    }
    this.#stem = stems[options.stem]({ inChannels, firstChannels: channels[0]!, stemWidth });
    this.conv1 = this.#stem.conv;
    this.bn1 = new BatchNorm({ channels: this.#stem.channels });
    let last = this.#stem.channels;
    this.stages = layers.map((count, stage) =>
      Array.from({ length: count }, (_, index) => {
        const planes = channels[stage]!;
        const stride = stage > 0 && index === 0 ? 2 : 1;
        const { attention, shortcut } = others;
        const block = kind.create({ inChannels: last, planes, stride, attention, shortcut });
        last = planes * kind.expansion;
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

  get features(): Readonly<Record<string, string>> {
    const stages = this.stages.map((blocks, stage) => [
      `stage${stage + 1}`,
      `layer${stage + 1}.${blocks.length - 1}.output`,
    ]);
    return { stem: "stem", ...Object.fromEntries(stages) };
  }

  /** Tap of the last block's feature maps, the usual place to look with Grad-CAM. */
  get lastFeatures(): string {
    return this.features[`stage${this.stages.length}`]!;
  }

  /** @param x [N, inChannels, H, W]  @returns logits [N, numClasses] */
  forward(x: Tensor): Tensor {
    const hidden = relu(this.bn1.forward(this.conv1.forward(x)));
    const stem = this.#stem.pools ? maxPool(hidden, { kernel: [3, 3], stride: 2, padding: 1 }) : hidden;
    const features = this.stages
      .flat()
      .reduce((value, block) => block.forward(value), this.tap("stem", stem));
    return this.fc.forward(mean(features, { axes: [2, 3], keepDims: false }));
  }
}
