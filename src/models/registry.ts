import { create as createMechanism, type MechanismId, mechanismClass } from "../attention/catalogue.js";
import { channelOptions } from "../attention/channel-options.js";
import { readMechanism } from "../attention/written-mechanism.js";
import { OptionError } from "../base/errors.js";
import type { Layer } from "../nn/sequential.js";
import { type AttentionFactory, BasicBlock, Bottleneck } from "./residual-block.js";
import { ResNet } from "./resnet.js";

/** Options that every network of the registry takes. */
export interface ModelOptions {
  /** Number of classes; 10 for small images, 1000 for ImageNet networks by default. */
  readonly numClasses?: number;
  /** Channels of the image; 3 by default. */
  readonly inChannels?: number;
  /** Mechanism at the end of every block: an id of the catalogue, with options (`se:reduction=8`) or without, or "none". */
  readonly attention?: MechanismId | `${MechanismId}:${string}` | "none";
}

interface ModelEntry {
  readonly description: string;
  /** Height and width that it was designed for. */
  readonly imageSize: number;
  readonly defaults: { readonly numClasses: number; readonly attention: MechanismId | "none" };
  build(options: { numClasses: number; inChannels: number; attention: AttentionFactory | undefined }): ResNet;
}

/** CIFAR residual network of depth 6n + 2. */
function smallResNet(blocksPerStage: number): ModelEntry["build"] {
  return (options) =>
    new ResNet({
      ...options,
      block: BasicBlock,
      stem: "small",
      layers: [blocksPerStage, blocksPerStage, blocksPerStage],
      channels: [16, 32, 64],
    });
}

const imagenetChannels = [64, 128, 256, 512];

const registry: Readonly<Record<string, ModelEntry>> = {
  seresnet8: {
    description: "SE-ResNet-8 for small images: three stages of one block, 16, 32 and 64 channels",
    imageSize: 28,
    defaults: { numClasses: 10, attention: "se" },
    build: smallResNet(1),
  },
  seresnet20: {
    description: "SE-ResNet-20 for small images: three stages of three blocks, 16, 32 and 64 channels",
    imageSize: 32,
    defaults: { numClasses: 10, attention: "se" },
    build: smallResNet(3),
  },
  seresnet18: {
    description: "SE-ResNet-18 for ImageNet: four stages of two basic blocks",
    imageSize: 224,
    defaults: { numClasses: 1000, attention: "se" },
    build: (options) =>
      new ResNet({
        ...options,
        block: BasicBlock,
        stem: "imagenet",
        layers: [2, 2, 2, 2],
        channels: imagenetChannels,
      }),
  },
  seresnet50: {
    description: "SE-ResNet-50 for ImageNet: bottleneck blocks 3, 4, 6, 3",
    imageSize: 224,
    defaults: { numClasses: 1000, attention: "se" },
    build: (options) =>
      new ResNet({
        ...options,
        block: Bottleneck,
        stem: "imagenet",
        layers: [3, 4, 6, 3],
        channels: imagenetChannels,
      }),
  },
};

/** What the registry knows about a network. */
export interface ModelInfo {
  readonly name: string;
  readonly description: string;
  readonly imageSize: number;
  readonly defaults: ModelEntry["defaults"];
}

/** Every network that can be created by name. */
export function models(): ModelInfo[] {
  return Object.entries(registry).map(([name, { description, imageSize, defaults }]) => ({
    name,
    description,
    imageSize,
    defaults,
  }));
}

/** What is known about a network. @throws OptionError for an unknown name */
export function modelInfo(name: string): ModelInfo {
  const found = models().find((model) => model.name === name);
  if (!found) throw new OptionError(`no model "${name}"; known are ${Object.keys(registry).join(", ")}`);
  return found;
}

/**
 * Builds a network by its name.
 * @throws OptionError for an unknown name, an unknown mechanism, or one that needs more options than the number of channels
 */
export function createModel(name: string, options: ModelOptions = {}): ResNet {
  const { defaults } = modelInfo(name);
  const { numClasses = defaults.numClasses, inChannels = 3, attention = defaults.attention } = options;
  return registry[name]!.build({ numClasses, inChannels, attention: attentionFactory(attention) });
}

function attentionFactory(text: string): AttentionFactory | undefined {
  if (text === "none") return undefined;
  const { id, options } = readMechanism(text);
  const { about } = mechanismClass(id);
  return (channels) =>
    createMechanism(
      id as MechanismId,
      { ...channelOptions(about, channels), ...options } as never,
    ) as unknown as Layer;
}
