import { SqueezeExcitation } from "../attention/channel/squeeze-excitation.js";
import { roundToDivisor } from "../attention/divisor.js";
import type { Model } from "../graph/model.js";
import { Activation } from "../nn/activation.js";
import { Dropout } from "../nn/dropout.js";
import { Sequential } from "../nn/sequential.js";
import { hardSwish, relu } from "../ops/activation.js";
import { convNormActivation } from "./conv-norm-activation.js";
import type { AttentionFactory } from "./hosted-attention.js";
import { InvertedResidual, type InvertedResidualOptions } from "./inverted-residual.js";
import { MobileNet, mobileLinear, widthScale } from "./mobilenet.js";

/** A block of a MobileNetV3; channels are those before the width multiplier. */
export interface MobileNetV3Block {
  /** Height and width of the depthwise kernel. */
  readonly kernel: number;
  /** Channels of the depthwise convolution. */
  readonly expanded: number;
  readonly channels: number;
  /** Whether the block has a place for attention. */
  readonly attention: boolean;
  readonly activation: "relu" | "hardSwish";
  readonly stride: number;
}

/** What the blocks of a MobileNetV3 are. */
export interface MobileNetV3Architecture {
  /** Channels of the first convolution. */
  readonly stem: number;
  readonly blocks: readonly MobileNetV3Block[];
  /** Width of the classifier's hidden layer. */
  readonly hidden: number;
}

type Row = readonly [
  kernel: number,
  expanded: number,
  channels: number,
  attention: boolean,
  activation: MobileNetV3Block["activation"],
  stride: number,
];

function rows(...table: readonly Row[]): MobileNetV3Block[] {
  return table.map(([kernel, expanded, channels, attention, activation, stride]) => {
    return { kernel, expanded, channels, attention, activation, stride };
  });
}

/** Tables 1 and 2. */
const architectures = {
  large: {
    stem: 16,
    blocks: rows(
      [3, 16, 16, false, "relu", 1],
      [3, 64, 24, false, "relu", 2],
      [3, 72, 24, false, "relu", 1],
      [5, 72, 40, true, "relu", 2],
      [5, 120, 40, true, "relu", 1],
      [5, 120, 40, true, "relu", 1],
      [3, 240, 80, false, "hardSwish", 2],
      [3, 200, 80, false, "hardSwish", 1],
      [3, 184, 80, false, "hardSwish", 1],
      [3, 184, 80, false, "hardSwish", 1],
      [3, 480, 112, true, "hardSwish", 1],
      [3, 672, 112, true, "hardSwish", 1],
      [5, 672, 160, true, "hardSwish", 2],
      [5, 960, 160, true, "hardSwish", 1],
      [5, 960, 160, true, "hardSwish", 1],
    ),
    hidden: 1280,
  },
  small: {
    stem: 16,
    blocks: rows(
      [3, 16, 16, true, "relu", 2],
      [3, 72, 24, false, "relu", 2],
      [3, 88, 24, false, "relu", 1],
      [5, 96, 40, true, "hardSwish", 2],
      [5, 240, 40, true, "hardSwish", 1],
      [5, 240, 40, true, "hardSwish", 1],
      [5, 120, 48, true, "hardSwish", 1],
      [5, 144, 48, true, "hardSwish", 1],
      [5, 288, 96, true, "hardSwish", 2],
      [5, 576, 96, true, "hardSwish", 1],
      [5, 576, 96, true, "hardSwish", 1],
    ),
    hidden: 1024,
  },
} satisfies Record<string, MobileNetV3Architecture>;

/** Options of a MobileNetV3. */
export interface MobileNetV3Options {
  /** The paper's table 1 or 2, or blocks of one's own. */
  readonly architecture: keyof typeof architectures | MobileNetV3Architecture;
  readonly inChannels: number;
  readonly numClasses: number;
  /** Scales the channels of every layer, rounded to multiples of 8; 1 by default. */
  readonly widthMultiplier?: number;
  /** Attention of the blocks that have a place for it; squeeze-and-excitation as in the paper by default. */
  readonly attention?: AttentionFactory | "none";
  /** Dropout before the last linear layer; 0.2 by default, as in torchvision. */
  readonly dropout?: number;
}

/** Options of squeeze-and-excitation in a MobileNetV3: a quarter of the channels inside, in multiples of 8, and a hard gate. Section 5.3. */
export function mobileSqueeze(channels: number) {
  const squeezed = roundToDivisor(channels / 4, 8, 0.9);
  return { reduction: channels / squeezed, reductionDivisor: 1, gate: "hardSigmoid" } as const;
}

const activations = { relu, hardSwish };

/** torchvision's names of the layers. The place of attention is counted where it is empty, so that the layers after it keep their names. */
class InvertedResidualV3 extends InvertedResidual {
  readonly #hasPlace: boolean;

  constructor({ hasPlace, ...options }: InvertedResidualOptions & { readonly hasPlace: boolean }) {
    super(options);
    this.#hasPlace = hasPlace;
  }

  override *ownParts(): Generator<readonly [string, Model]> {
    const places = [
      ...(this.expand ? [this.expand] : []),
      this.depthwise,
      ...(this.#hasPlace ? [this.attention] : []),
      this.project,
    ];
    for (const [index, layer] of places.entries()) if (layer) yield [`block.${index}`, layer];
  }
}

/**
 * MobileNetV3: inverted residual blocks with hard swish and squeeze-and-excitation, with torchvision's names and layout.
 * Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam: Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244,
 * tables 1 and 2. As in torchvision the layer before the classifier has a bias, and normalization the paper's epsilon 0.001 and momentum 0.01.
 */
export class MobileNetV3 extends MobileNet {
  /** @throws OptionError for a width multiplier that is not positive */
  constructor(options: MobileNetV3Options) {
    const { architecture, inChannels, numClasses, widthMultiplier = 1 } = options;
    const {
      stem: stemChannels,
      blocks: table,
      hidden,
    } = typeof architecture === "string" ? architectures[architecture] : architecture;
    const {
      attention = (channels: number) => new SqueezeExcitation({ channels, ...mobileSqueeze(channels) }),
    } = options;
    const scaled = widthScale("MobileNetV3", widthMultiplier);
    const norm = { epsilon: 1e-3, momentum: 0.01 };
    const layer = { norm, activation: hardSwish };
    let last = scaled(stemChannels);
    const stem = convNormActivation({ ...layer, inChannels, outChannels: last, kernel: 3, stride: 2 });
    const blocks = table.map((row) => {
      const outChannels = scaled(row.channels);
      const block = new InvertedResidualV3({
        inChannels: last,
        expandedChannels: scaled(row.expanded),
        outChannels,
        kernel: row.kernel,
        stride: row.stride,
        norm,
        activation: activations[row.activation],
        hasPlace: row.attention,
        attention: row.attention && attention !== "none" ? attention : undefined,
      });
      last = outChannels;
      return block;
    });
    const headChannels = 6 * last;
    const hiddenChannels = scaled(hidden);
    super({
      stem,
      blocks,
      head: convNormActivation({ ...layer, inChannels: last, outChannels: headChannels, kernel: 1 }),
      classifier: new Sequential(
        mobileLinear(headChannels, hiddenChannels),
        new Activation(hardSwish),
        new Dropout({ rate: options.dropout ?? 0.2 }),
        mobileLinear(hiddenChannels, numClasses),
      ),
    });
  }
}
