import type { Model } from "../graph/model.js";
import { Dropout } from "../nn/dropout.js";
import { Sequential } from "../nn/sequential.js";
import { relu6 } from "../ops/activation.js";
import { convNormActivation } from "./conv-norm-activation.js";
import type { AttentionFactory } from "./hosted-attention.js";
import { InvertedResidual } from "./inverted-residual.js";
import { MobileNet, mobileLinear, widthScale } from "./mobilenet.js";

/** Blocks of a MobileNetV2 that are alike. */
export interface MobileNetV2Stage {
  /** Channels of the depthwise convolution per input channel. */
  readonly expansion: number;
  /** Output channels, before the width multiplier. */
  readonly channels: number;
  readonly blocks: number;
  /** Stride of the first of them. */
  readonly stride: number;
}

/** Table 2. */
const stages: readonly MobileNetV2Stage[] = [
  { expansion: 1, channels: 16, blocks: 1, stride: 1 },
  { expansion: 6, channels: 24, blocks: 2, stride: 2 },
  { expansion: 6, channels: 32, blocks: 3, stride: 2 },
  { expansion: 6, channels: 64, blocks: 4, stride: 2 },
  { expansion: 6, channels: 96, blocks: 3, stride: 1 },
  { expansion: 6, channels: 160, blocks: 3, stride: 2 },
  { expansion: 6, channels: 320, blocks: 1, stride: 1 },
];

/** Options of a MobileNetV2. */
export interface MobileNetV2Options {
  readonly inChannels: number;
  readonly numClasses: number;
  /** Scales the channels of every layer, rounded to multiples of 8; those of the last one are not reduced. 1 by default. */
  readonly widthMultiplier?: number;
  /** The paper's table 2 by default. */
  readonly stages?: readonly MobileNetV2Stage[];
  /** Attention after the depthwise convolution of every block; the paper has none. */
  readonly attention?: AttentionFactory | undefined;
  /** Dropout before the linear layer; 0.2 by default, as in torchvision. */
  readonly dropout?: number;
}

/** torchvision's names of the layers; attention, which has none there, stands beside them. */
class InvertedResidualV2 extends InvertedResidual {
  override *ownParts(): Generator<readonly [string, Model]> {
    const layers = [...(this.expand ? [this.expand] : []), this.depthwise, ...this.project.layers];
    for (const [index, layer] of layers.entries()) yield [`conv.${index}`, layer];
    if (this.attention) yield ["se", this.attention];
  }
}

/**
 * MobileNetV2: inverted residual blocks with ReLU6, with torchvision's names and layout.
 * Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv:1801.04381, table 2.
 */
export class MobileNetV2 extends MobileNet {
  /** @throws OptionError for a width multiplier that is not positive */
  constructor(options: MobileNetV2Options) {
    const { inChannels, numClasses, widthMultiplier = 1, stages: table = stages, attention } = options;
    const scaled = widthScale("MobileNetV2", widthMultiplier);
    const layer = { norm: {}, activation: relu6 };
    let last = scaled(32);
    const stem = convNormActivation({ ...layer, inChannels, outChannels: last, kernel: 3, stride: 2 });
    const blocks = table.flatMap(({ expansion, channels, blocks: count, stride }) =>
      Array.from({ length: count }, (_, index) => {
        const outChannels = scaled(channels);
        const block = new InvertedResidualV2({
          ...layer,
          inChannels: last,
          expandedChannels: Math.round(last * expansion),
          outChannels,
          kernel: 3,
          stride: index === 0 ? stride : 1,
          attention,
        });
        last = outChannels;
        return block;
      }),
    );
    const headChannels = Math.max(1280, scaled(1280));
    super({
      stem,
      blocks,
      head: convNormActivation({ ...layer, inChannels: last, outChannels: headChannels, kernel: 1 }),
      classifier: new Sequential(
        new Dropout({ rate: options.dropout ?? 0.2 }),
        mobileLinear(headChannels, numClasses),
      ),
    });
  }
}
