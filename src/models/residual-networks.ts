import { attentionFactory } from "./hosted-attention.js";
import type { HostedMechanism, Network } from "./network.js";
import { network } from "./network.js";
import { BasicBlock, Bottleneck } from "./residual-block.js";
import { ResNet, type ResNetOptions } from "./resnet.js";
import { selectiveKernelBasicBlock, selectiveKernelBottleneck } from "./selective-kernel-block.js";
import { splitAttentionBottleneck } from "./split-attention-block.js";

type Architecture = Pick<ResNetOptions, "block" | "layers"> & Partial<ResNetOptions>;

interface Entry {
  readonly description: string;
  readonly paper: string;
  readonly attention?: HostedMechanism;
}

/** A network for ImageNet: four stages, at strides 4 to 32. */
function imagenet(architecture: Architecture, { attention = "none", ...about }: Entry): Network {
  return network({
    ...about,
    task: "classification",
    imageSize: 224,
    defaults: { numClasses: 1000, inChannels: 3, attention },
    build: (options) =>
      new ResNet({
        stem: "imagenet",
        channels: [64, 128, 256, 512],
        ...architecture,
        ...options,
        attention: attentionFactory(options.attention),
      }),
  });
}

/** A network for small images: three stages of basic blocks, 16, 32 and 64 channels, at strides 1 to 4. */
function small(
  blocksPerStage: number,
  { attention = "none", imageSize = 32, shortcut, ...about }: Entry & SmallOptions,
): Network {
  return network({
    ...about,
    task: "classification",
    imageSize,
    defaults: { numClasses: 10, inChannels: 3, attention },
    build: (options) =>
      new ResNet({
        block: BasicBlock,
        stem: "small",
        layers: [blocksPerStage, blocksPerStage, blocksPerStage],
        channels: [16, 32, 64],
        ...(shortcut ? { shortcut } : {}),
        ...options,
        attention: attentionFactory(options.attention),
      }),
  });
}

interface SmallOptions {
  readonly imageSize?: number;
  readonly shortcut?: NonNullable<ResNetOptions["shortcut"]>;
}

const papers = {
  resnet: "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385",
  se: "Hu, Shen, Albanie, Sun, Wu: Squeeze-and-Excitation Networks, CVPR 2018, arXiv:1709.01507",
  eca: "Wang, Wu, Zhu, Li, Zuo, Hu: ECA-Net, CVPR 2020, arXiv:1910.03151",
  cbam: "Woo, Park, Lee, Kweon: CBAM: Convolutional Block Attention Module, ECCV 2018, arXiv:1807.06521",
  gc: "Cao, Xu, Lin, Wei, Hu: GCNet, ICCVW 2019, arXiv:1904.11492",
  sk: "Li, Wang, Hu, Yang: Selective Kernel Networks, CVPR 2019, arXiv:1903.06586",
  resnest: "Zhang et al.: ResNeSt: Split-Attention Networks, CVPR Workshops 2022, arXiv:2004.08955",
};

const basic18 = { block: BasicBlock, layers: [2, 2, 2, 2] };
const basic34 = { block: BasicBlock, layers: [3, 4, 6, 3] };
const bottleneck50 = { block: Bottleneck, layers: [3, 4, 6, 3] };
const bottleneck101 = { block: Bottleneck, layers: [3, 4, 23, 3] };

/** Stem and shortcuts of a ResNet-D: He, Tong: Bag of Tricks, CVPR 2019, arXiv:1812.01187. */
const typeD = { stem: "deep", stemWidth: 32, shortcut: "averagedProjection" } as const;

/** The two halves of the channels go through one kernel each, which keeps the number of parameters down. */
const sk18 = { reduction: 8, reductionDivisor: 16, splitInput: true };
const sk50 = { reduction: 16, reductionDivisor: 8, splitInput: true };
const splitAttention = splitAttentionBottleneck({
  radix: 2,
  cardinality: 1,
  baseWidth: 64,
  averageDown: "after",
});

/** The residual networks of the registry. Those for ImageNet have timm's layout and keys. */
export const residualNetworks = {
  resnet18: imagenet(basic18, {
    description: "ResNet-18: four stages of two basic blocks",
    paper: `${papers.resnet}, table 1`,
  }),
  resnet34: imagenet(basic34, {
    description: "ResNet-34: basic blocks 3, 4, 6, 3",
    paper: `${papers.resnet}, table 1`,
  }),
  resnet50: imagenet(bottleneck50, {
    description: "ResNet-50: bottleneck blocks 3, 4, 6, 3",
    paper: `${papers.resnet}, table 1`,
  }),
  resnet101: imagenet(bottleneck101, {
    description: "ResNet-101: bottleneck blocks 3, 4, 23, 3",
    paper: `${papers.resnet}, table 1`,
  }),
  resnet20: small(3, {
    description: "ResNet-20 for small images: three stages of three blocks, shortcuts without parameters",
    paper: `${papers.resnet}, section 4.2`,
    shortcut: "padding",
  }),
  resnet32: small(5, {
    description: "ResNet-32 for small images: three stages of five blocks, shortcuts without parameters",
    paper: `${papers.resnet}, section 4.2`,
    shortcut: "padding",
  }),
  resnet56: small(9, {
    description: "ResNet-56 for small images: three stages of nine blocks, shortcuts without parameters",
    paper: `${papers.resnet}, section 4.2`,
    shortcut: "padding",
  }),
  seresnet8: small(1, {
    description: "SE-ResNet-8 for small images: three stages of one block, 16, 32 and 64 channels",
    paper: papers.se,
    imageSize: 28,
    attention: "se",
  }),
  seresnet20: small(3, {
    description: "SE-ResNet-20 for small images: three stages of three blocks, 16, 32 and 64 channels",
    paper: papers.se,
    attention: "se",
  }),
  seresnet18: imagenet(basic18, {
    description: "SE-ResNet-18 for ImageNet: four stages of two basic blocks",
    paper: papers.se,
    attention: "se",
  }),
  seresnet34: imagenet(basic34, {
    description: "SE-ResNet-34 for ImageNet: basic blocks 3, 4, 6, 3",
    paper: papers.se,
    attention: "se",
  }),
  seresnet50: imagenet(bottleneck50, {
    description: "SE-ResNet-50 for ImageNet: bottleneck blocks 3, 4, 6, 3",
    paper: `${papers.se}, table 1`,
    attention: "se",
  }),
  ecaresnet18: imagenet(basic18, {
    description: "ECA-ResNet-18: efficient channel attention in every block",
    paper: papers.eca,
    attention: "eca",
  }),
  ecaresnet50d: imagenet(
    { ...bottleneck50, ...typeD },
    {
      description:
        "ECA-ResNet-50-D: deep stem, averaged shortcuts, efficient channel attention in every block",
      paper: papers.eca,
      attention: "eca",
    },
  ),
  cbamresnet18: imagenet(basic18, {
    description: "CBAM-ResNet-18: a channel and a spatial gate in every block",
    paper: `${papers.cbam}, table 4`,
    attention: "cbam",
  }),
  cbamresnet50: imagenet(bottleneck50, {
    description: "CBAM-ResNet-50: a channel and a spatial gate in every block",
    paper: `${papers.cbam}, table 4`,
    attention: "cbam",
  }),
  gcresnet18: imagenet(basic18, {
    description: "GC-ResNet-18: a global context that scales the channels in every block",
    paper: papers.gc,
    attention: "gc",
  }),
  gcresnet50: imagenet(bottleneck50, {
    description: "GC-ResNet-50: a global context that scales the channels in every block",
    paper: papers.gc,
    attention: "gc",
  }),
  skresnet18: imagenet(
    { ...basic18, block: selectiveKernelBasicBlock(sk18) },
    {
      description: "SK-ResNet-18: selective kernels in every basic block, input split in two",
      paper: papers.sk,
    },
  ),
  skresnet34: imagenet(
    { ...basic34, block: selectiveKernelBasicBlock(sk18) },
    {
      description: "SK-ResNet-34: selective kernels in every basic block, input split in two",
      paper: papers.sk,
    },
  ),
  skresnet50: imagenet(
    { ...bottleneck50, block: selectiveKernelBottleneck(sk50) },
    {
      description: "SK-ResNet-50: selective kernels in every bottleneck, input split in two",
      paper: papers.sk,
    },
  ),
  resnest14d: imagenet(
    { block: splitAttention, layers: [1, 1, 1, 1], ...typeD },
    { description: "ResNeSt-14-D: split attention with radix 2, one block a stage", paper: papers.resnest },
  ),
  resnest26d: imagenet(
    { block: splitAttention, layers: [2, 2, 2, 2], ...typeD },
    { description: "ResNeSt-26-D: split attention with radix 2, two blocks a stage", paper: papers.resnest },
  ),
  resnest50d: imagenet(
    { block: splitAttention, layers: [3, 4, 6, 3], ...typeD },
    {
      description: "ResNeSt-50-D: split attention with radix 2, blocks 3, 4, 6, 3",
      paper: papers.resnest,
    },
  ),
};
