import { mechanismClass } from "../../src/attention/catalogue.js";
import { anyAxes, type NamedSize, resolveSize, type Sizes } from "../../src/attention/sizes.js";
import { type Contestant, createContestant, mechanismContestant } from "../../src/cli/compare/contestant.js";
import { concreteShape } from "../../src/graph/size.js";
import type { MechanismWork } from "./work.js";

/** Options of mechanisms that take an image, where the ones of their first example are those of a toy: as in their papers or networks. */
const imageOptions: Readonly<Record<string, string>> = {
  encnet: "numClasses=150",
  gaternet: "features=256,bottleneck=256",
  afnb: "lowChannels=256,highChannels=256,outChannels=256,keyChannels=128,valueChannels=128",
  "attention-gate": "gateChannels=256",
  csra: "numClasses=80",
  "sca-cnn": "hiddenSize=512",
};

/** What a mechanism that takes no image is measured on. */
interface TokenCase {
  readonly options: Readonly<Record<string, unknown>>;
  readonly sizes: Sizes;
  /** What stands for `...` in a shape. */
  readonly open?: readonly number[];
}

const tokens = { batch: 8, length: 196, keyLength: 196, memoryLength: 196 };

const tokenCases: Readonly<Record<string, TokenCase>> = {
  sdpa: { options: {}, sizes: { ...tokens, dim: 64, keyDim: 64, valueDim: 64 }, open: [8, 4] },
  "qkv-attention": { options: { queryDim: 256, keyDim: 256 }, sizes: { ...tokens, valueDim: 256 } },
  mha: { options: { embedDim: 256, heads: 8 }, sizes: tokens },
  "positional-encoding": { options: { embedDim: 256 }, sizes: tokens },
  "transformer-encoder-layer": {
    options: { embedDim: 256, heads: 8, feedForwardDim: 1024 },
    sizes: tokens,
  },
  "transformer-decoder-layer": {
    options: { embedDim: 256, heads: 8, feedForwardDim: 1024 },
    sizes: tokens,
  },
  vit: {
    options: { imageSize: 224, patchSize: 16, numClasses: 1000, embedDim: 192, depth: 12, heads: 3 },
    sizes: { batch: 8 },
  },
  // The last features of a ResNet-50 of an image of 800 x 800 pixels.
  detr: {
    options: { backboneChannels: 2048, numClasses: 91 },
    sizes: { batch: 1, height: 25, width: 25 },
  },
};

/** A mechanism with its inputs: an image of the given size, or what is natural for it. @throws OptionError, ShapeError */
export function mechanismCase({ mechanism, image }: MechanismWork): Contestant {
  const tokenCase = tokenCases[mechanism];
  if (tokenCase) return tokenContestant(mechanism, tokenCase);
  const options = imageOptions[mechanism];
  const [batch, channels, height, width] = image;
  return createContestant(options === undefined ? mechanism : `${mechanism}:${options}`, {
    batch,
    channels,
    height,
    width,
  });
}

function tokenContestant(id: string, { options, sizes, open = [] }: TokenCase): Contestant {
  const module = new (mechanismClass(id))(options as never);
  return mechanismContestant(id, { module, options }, (declared) => {
    const axes = declared.flatMap((size): NamedSize[] => (size === anyAxes ? [...open] : [size]));
    return concreteShape(axes.map((size) => resolveSize(size, sizes)));
  });
}
