import { roundToDivisor } from "../attention/divisor.js";
import { OptionError } from "../base/errors.js";
import type { Model } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { Linear } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { Layer } from "../nn/sequential.js";
import { constantValue, normal } from "../nn/variables.js";
import { mean } from "../ops/reduce.js";
import type { ImageModel } from "./image-model.js";
import type { InvertedResidual } from "./inverted-residual.js";

/** The layers of a MobileNet. */
export interface MobileNetLayers {
  /** First convolution, at stride 2. */
  readonly stem: Layer;
  readonly blocks: readonly InvertedResidual[];
  /** Last convolution. */
  readonly head: Layer;
  /** From the averages of the head's channels to logits. */
  readonly classifier: Layer;
}

/**
 * Scales channels by a width multiplier: to the nearest multiple of 8 that is not smaller by more than a tenth.
 * @throws OptionError for a multiplier that is not positive
 */
export function widthScale(where: string, multiplier: number): (channels: number) => number {
  if (!(Number.isFinite(multiplier) && multiplier > 0)) {
    throw new OptionError(`${where}: widthMultiplier is ${multiplier}; it must be a number > 0`);
  }
  return (channels) => roundToDivisor(channels * multiplier, 8, 0.9);
}

/** A linear layer of a MobileNet's classifier, initialized as torchvision does. */
export function mobileLinear(inFeatures: number, outFeatures: number): Linear {
  const initializer = normal(0.01);
  return new Linear({ inFeatures, outFeatures, initializer, biasInitializer: constantValue(0) });
}

/** A convolution, inverted residual blocks, a convolution and a classifier, with torchvision's names: features.0 ... , classifier. */
export abstract class MobileNet extends Module implements ImageModel {
  readonly stem: Layer;
  readonly blocks: readonly InvertedResidual[];
  readonly head: Layer;
  readonly classifier: Layer;

  constructor({ stem, blocks, head, classifier }: MobileNetLayers) {
    super();
    this.stem = stem;
    this.blocks = blocks;
    this.head = head;
    this.classifier = classifier;
  }

  override *ownParts(): Generator<readonly [string, Model]> {
    const layers = [this.stem, ...this.blocks, this.head];
    for (const [index, layer] of layers.entries()) yield [`features.${index}`, layer];
    yield ["classifier", this.classifier];
  }

  /** A stage is a run of blocks of one resolution. */
  get features(): Readonly<Record<string, string>> {
    const last = this.blocks.flatMap((_, index) => {
      const following = this.blocks[index + 1];
      return !following || following.stride > 1 ? [index] : [];
    });
    const stages = last.map((index, stage) => [`stage${stage + 1}`, `features.${index + 1}.output`]);
    return { stem: "stem", ...Object.fromEntries(stages), head: this.lastFeatures };
  }

  /** Tap of the last convolution's feature maps, the usual place to look with Grad-CAM. */
  get lastFeatures(): string {
    return "head";
  }

  /** @param x [N, inChannels, H, W]  @returns logits [N, numClasses] */
  forward(x: Tensor): Tensor {
    const stem = this.tap("stem", this.stem.forward(x)); // [N, C, H/2, W/2]
    const features = this.blocks.reduce((value, block) => block.forward(value), stem); // [N, C', H/32, W/32]
    const head = this.tap("head", this.head.forward(features)); // [N, C'', H/32, W/32]
    return this.classifier.forward(mean(head, { axes: [2, 3], keepDims: false }));
  }
}
