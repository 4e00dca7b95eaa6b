import type { Layer } from "../nn/sequential.js";

/** What a network of images is for: a class per image, or a class per pixel. */
export type ImageTask = "classification" | "segmentation";

/**
 * A network of images. Its `forward` takes images [N, inChannels, H, W] and returns logits: [N, numClasses] for classification,
 * [N, numClasses, H, W] for segmentation.
 */
export interface ImageModel extends Layer {
  /** Taps of the intermediate features by name, first to last: `stem`, `stage1` ... of a convolutional network, `block0` ... of a transformer. */
  readonly features: Readonly<Record<string, string>>;
  /**
   * Tap of the last features that the logits depend on place by place, where Grad-CAM looks: feature maps [N, C, H, W], or tokens [N, T, D]
   * of a transformer.
   */
  readonly lastFeatures: string;
}
