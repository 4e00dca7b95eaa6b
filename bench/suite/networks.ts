import { VisionTransformer } from "../../src/attention/transformer/vit.js";
import type { ImageModel } from "../../src/models/image-model.js";
import { MobileNetV3 } from "../../src/models/mobilenet-v3.js";
import { create } from "../../src/models/registry.js";

/** A network that is measured. */
export interface BenchNetwork {
  readonly title: string;
  readonly classes: number;
  /** Labels are one an image, or one a pixel. */
  readonly labels: "image" | "pixel";
  /** Without dropout, so that all contestants compute the same. */
  build(): ImageModel;
}

/** The networks by name; bench/pytorch/networks.py has them under the same names. */
export const networks = {
  "se-resnet-20": {
    title: "SE-ResNet-20",
    classes: 10,
    labels: "image",
    build: () => create("seresnet20"),
  },
  "cbam-resnet-18": {
    title: "CBAM-ResNet-18",
    classes: 1000,
    labels: "image",
    build: () => create("cbamresnet18"),
  },
  "resnest-14d": {
    title: "ResNeSt-14d",
    classes: 1000,
    labels: "image",
    build: () => create("resnest14d"),
  },
  "mobilenet-v3-small": {
    title: "MobileNetV3-small",
    classes: 1000,
    labels: "image",
    build: () => new MobileNetV3({ architecture: "small", inChannels: 3, numClasses: 1000, dropout: 0 }),
  },
  "vit-tiny-patch4-32": {
    title: "ViT-tiny, patches of 4",
    classes: 10,
    labels: "image",
    build: () =>
      new VisionTransformer({
        imageSize: 32,
        patchSize: 4,
        numClasses: 10,
        embedDim: 192,
        depth: 12,
        heads: 3,
      }),
  },
  "vit-tiny-patch16-224": {
    title: "ViT-tiny, patches of 16",
    classes: 1000,
    labels: "image",
    build: () => create("vit_tiny_patch16_224"),
  },
  "u-net": {
    title: "U-Net",
    classes: 2,
    labels: "pixel",
    build: () => create("unet"),
  },
  "se-resnet-50": {
    title: "SE-ResNet-50",
    classes: 1000,
    labels: "image",
    build: () => create("seresnet50"),
  },
} satisfies Record<string, BenchNetwork>;

/** Name of a measured network. */
export type NetworkName = keyof typeof networks;
