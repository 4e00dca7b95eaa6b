import * as z from "zod/mini";
import { ECA } from "../attention/channel/eca.js";
import { SqueezeExcitation } from "../attention/channel/squeeze-excitation.js";
import { CBAM } from "../attention/channel-spatial/cbam.js";
import { optionProblem } from "../attention/option-problem.js";
import { flag, optional, positive, size } from "../attention/options.js";
import { GlobalContext } from "../attention/spatial/gc.js";
import { VisionTransformer } from "../attention/transformer/vit.js";
import { OptionError } from "../base/errors.js";
import type { AttentionFactory } from "./hosted-attention.js";
import type { ImageModel } from "./image-model.js";
import { BasicBlock, type BlockKind, Bottleneck } from "./residual-block.js";
import { ResNet } from "./resnet.js";
import { selectiveKernelBasicBlock, selectiveKernelBottleneck } from "./selective-kernel-block.js";
import { splitAttentionBottleneck } from "./split-attention-block.js";

/** timm's attention layers as mechanisms of the catalogue. */
const attentionLayers = {
  se: (channels) => new SqueezeExcitation({ channels }),
  eca: (channels) => new ECA({ channels }),
  cbam: (channels) => new CBAM({ channels }),
  gc: (channels) => new GlobalContext({ channels }),
  gca: (channels) => new GlobalContext({ channels, fuseScale: false, fuseAdd: true }),
} satisfies Record<string, AttentionFactory>;

/** Kinds of block and the options that they read. */
const blocks = {
  basic: () => BasicBlock,
  bottleneck: () => Bottleneck,
  sk: (options) => selectiveKernelBasicBlock(selection(options)),
  skBottleneck: (options) => selectiveKernelBottleneck(selection(options)),
  resnest: ({ radix, cardinality, baseWidth, avd, avdFirst }) =>
    splitAttentionBottleneck({
      radix,
      cardinality,
      baseWidth,
      averageDown: avd ? (avdFirst ? "before" : "after") : undefined,
    }),
} satisfies Record<string, (options: ResNetArchitecture) => BlockKind>;

function selection({ skRdRatio, skRdDivisor, skSplitInput }: ResNetArchitecture) {
  return { reduction: 1 / skRdRatio, reductionDivisor: skRdDivisor, splitInput: skSplitInput };
}

const stages = z.array(size).check(z.minLength(1), z.maxLength(8));

const resnetArchitecture = z
  .strictObject({
    block: z.enum(["basic", "bottleneck", "sk", "skBottleneck", "resnest"]),
    layers: stages,
    channels: stages,
    stemType: z._default(z.enum(["", "deep"]), ""),
    stemWidth: z._default(size, 64),
    avgDown: flag(false),
    attnLayer: optional(z.enum(["se", "eca", "cbam", "gc", "gca"])),
    cardinality: z._default(size, 1),
    baseWidth: z._default(size, 64),
    numClasses: z._default(size, 1000),
    inChannels: z._default(size, 3),
    bnEps: z._default(z.literal(1e-5), 1e-5),
    bnMomentum: z._default(z.literal(0.1), 0.1),
    skRdRatio: z._default(positive, 1 / 16),
    skRdDivisor: z._default(size, 8),
    skSplitInput: flag(true),
    radix: z._default(size, 2),
    avd: flag(false),
    avdFirst: flag(false),
  })
  .check(
    z.refine((o) => o.layers.length === o.channels.length, {
      error: "must have one entry per stage, as channels has",
      path: ["layers"],
    }),
    z.refine((o) => o.block === "resnest" || (o.cardinality === 1 && o.baseWidth === 64), {
      error: "only resnest blocks take a cardinality other than 1 or a baseWidth other than 64",
      path: ["block"],
    }),
  );

type ResNetArchitecture = z.output<typeof resnetArchitecture>;

/**
 * Builds a network from the options of timm's `ResNet` (it has a `block`) or `VisionTransformer`, with their names in camelCase. A `model` is
 * taken as a label.
 * @throws OptionError that names option, value and rule
 */
export function fromArchitecture(options: Readonly<Record<string, unknown>>): ImageModel {
  const { model: _label, ...architecture } = options;
  return "block" in architecture
    ? residualNetwork(architecture)
    : new VisionTransformer(architecture as ConstructorParameters<typeof VisionTransformer>[0]);
}

function residualNetwork(given: Readonly<Record<string, unknown>>): ResNet {
  const parsed = z.safeParse(resnetArchitecture, given);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => optionProblem(resnetArchitecture, given, issue));
    throw new OptionError(`ResNet: ${problems.join("; ")}`);
  }
  const { data } = parsed;
  return new ResNet({
    block: blocks[data.block](data),
    layers: data.layers,
    channels: data.channels,
    stem: data.stemType === "deep" ? "deep" : "imagenet",
    stemWidth: data.stemWidth,
    shortcut: data.avgDown ? "averagedProjection" : "projection",
    inChannels: data.inChannels,
    numClasses: data.numClasses,
    attention: data.attnLayer ? attentionLayers[data.attnLayer] : undefined,
  });
}
