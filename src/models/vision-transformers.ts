import { VisionTransformer } from "../attention/transformer/vit.js";
import { type Network, network } from "./network.js";

interface Entry {
  readonly description: string;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly numClasses: number;
  readonly embedDim: number;
  readonly depth: number;
  readonly heads: number;
}

const paper =
  "Dosovitskiy et al.: An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021, arXiv:2010.11929";

function transformer({ description, imageSize, numClasses, ...architecture }: Entry): Network {
  return network({
    description,
    task: "classification",
    paper,
    imageSize,
    defaults: { numClasses, inChannels: 3, imageSize },
    build: ({ imageSize: sides, ...options }) =>
      new VisionTransformer({
        ...architecture,
        ...options,
        imageSize: typeof sides === "number" ? sides : [...sides],
      }),
  });
}

const patches16 = { imageSize: 224, patchSize: 16, numClasses: 1000, depth: 12 };

/** The vision transformers of the registry; those for ImageNet have timm's names, layout and keys. */
export const visionTransformers = {
  vit_tiny_patch16_224: transformer({
    ...patches16,
    description: "ViT-Ti/16: 12 blocks of width 192 with 3 heads",
    embedDim: 192,
    heads: 3,
  }),
  vit_small_patch16_224: transformer({
    ...patches16,
    description: "ViT-S/16: 12 blocks of width 384 with 6 heads",
    embedDim: 384,
    heads: 6,
  }),
  vit_base_patch16_224: transformer({
    ...patches16,
    description: "ViT-B/16: 12 blocks of width 768 with 12 heads",
    embedDim: 768,
    heads: 12,
  }),
  vit_micro_patch4_32: transformer({
    description: "ViT for small images: patches of 4x4 pixels, 6 blocks of width 96 with 3 heads",
    imageSize: 32,
    patchSize: 4,
    numClasses: 10,
    embedDim: 96,
    depth: 6,
    heads: 3,
  }),
};
