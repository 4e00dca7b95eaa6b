import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { constantValue, kaimingNormal } from "../../nn/variables.js";
import { add } from "../../ops/arithmetic.js";
import { matmul } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, size } from "../options.js";
import {
  flattenPositions,
  innerProducts,
  softmaxOverPositions,
  unflattenPositions,
  weightedSums,
} from "../positions.js";

interface Widths {
  readonly channels: number;
  readonly featureChannels?: number | null | undefined;
  readonly descriptors?: number | null | undefined;
}

/** Number m of feature channels. */
function featureWidth({ channels, featureChannels }: Widths): number {
  return featureChannels ?? Math.floor(channels / 4);
}

/** Number n of global descriptors. */
function descriptorCount({ channels, descriptors }: Widths): number {
  return descriptors ?? Math.floor(channels / 4);
}

/** 1x1 convolution with the initial values of the public re-implementation. */
function pointwise(inChannels: number, outChannels: number): Conv2d {
  return new Conv2d({
    inChannels,
    outChannels,
    kernel: 1,
    initializer: kaimingNormal(outChannels),
    biasInitializer: constantValue(0),
  });
}

/**
 * Double attention block: attention maps gather n global descriptors of the image, attention vectors distribute them to every pixel.
 * Chen, Kalantidis, Li, Yan, Feng: A2-Nets: Double Attention Networks, NeurIPS 2018, arXiv:1810.11579. The order
 * "attention-first" multiplies maps and vectors first, with a matrix of all pairs of pixels: the same result, better only for few pixels.
 * Vectors are normalized over the descriptors, as the paper's formulas say; public re-implementations normalize another axis.
 */
export class DoubleAttention extends mechanism({
  id: "a2",
  name: "Double Attention Block",
  family: "spatial",
  year: 2018,
  paper: "Chen, Kalantidis, Li, Yan, Feng: A2-Nets: Double Attention Networks, NeurIPS 2018",
  arxiv: "1810.11579",
  formula: String.raw`Y = X + W_o\left[A\,\mathrm{softmax}_{\mathrm{positions}}(B)^\top\right]\mathrm{softmax}_{\mathrm{descriptors}}(V),\quad A = W_a X,\ B = W_b X,\ V = W_v X`,
  options: z
    .strictObject({
      channels: size,
      featureChannels: optional(size),
      descriptors: optional(size),
      reconstruct: flag(true),
      residual: flag(true),
      order: z._default(z.enum(["gather-first", "attention-first"]), "gather-first"),
    })
    .check(
      z.refine((o) => featureWidth(o) >= 1, {
        error: "floor(channels / 4), the default, must be >= 1",
        path: ["featureChannels"],
      }),
      z.refine((o) => descriptorCount(o) >= 1, {
        error: "floor(channels / 4), the default, must be >= 1",
        path: ["descriptors"],
      }),
      z.refine((o) => o.reconstruct || !o.residual || featureWidth(o) === o.channels, {
        error: "must be true with a residual, unless featureChannels is channels",
        path: ["reconstruct"],
      }),
    ),
  maps: (options) => {
    const shape = ["batch", descriptorCount(options), "height", "width"];
    return {
      attentionMaps: { kind: "spatial", shape, range: [0, 1], sumsToOne: [2, 3] },
      attentionVectors: { kind: "spatial", shape, range: [0, 1], sumsToOne: [1] },
    };
  },
  calls: (options) => {
    const { channels, reconstruct } = options;
    const outChannels = reconstruct ? channels : featureWidth(options);
    return {
      forward: {
        inputs: { x: { shape: ["batch", channels, "height", "width"] } },
        outputs: { y: ["batch", outChannels, "height", "width"] },
      },
    };
  },
  parameters: (options) => {
    const [c, m, n] = [options.channels, featureWidth(options), descriptorCount(options)];
    return c * m + m + 2 * (c * n + n) + (options.reconstruct ? m * c + c : 0);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const [c, m, n] = [options.channels, featureWidth(options), descriptorCount(options)];
    const pixels = height * width;
    const products = options.order === "gather-first" ? 2 * pixels * m * n : pixels * pixels * (n + m);
    return batch * (pixels * c * (m + 2 * n) + products + (options.reconstruct ? pixels * m * c : 0));
  },
  refused: [
    { channels: 0 },
    { channels: 3 },
    { featureChannels: 0 },
    { descriptors: 0 },
    { order: "vectors-first" },
    { reconstruct: false },
    { reconstruct: false, featureChannels: 5 },
  ],
  examples: [
    { options: { channels: 16 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 6, featureChannels: 4, descriptors: 3, order: "attention-first" },
      sizes: { batch: 2, height: 3, width: 4 },
    },
    {
      options: { channels: 8, featureChannels: 5, reconstruct: false, residual: false },
      sizes: { batch: 3, height: 4, width: 4 },
    },
    {
      options: { channels: 4, featureChannels: 4, descriptors: 2, reconstruct: false },
      sizes: { batch: 2, height: 4, width: 3 },
    },
  ],
  checkpoints: {
    "xmu-xiaoma666/External-Attention-pytorch": { convA: "convA", convB: "convB", convV: "convV" },
  },
}) {
  readonly convA: Conv2d;
  readonly convB: Conv2d;
  readonly convV: Conv2d;
  readonly convReconstruct?: Conv2d;

  constructor(options: Options<typeof DoubleAttention>) {
    super(options);
    const { channels, reconstruct } = this.options;
    const [features, descriptors] = [featureWidth(this.options), descriptorCount(this.options)];
    this.convA = pointwise(channels, features);
    this.convB = pointwise(channels, descriptors);
    this.convV = pointwise(channels, descriptors);
    if (reconstruct) this.convReconstruct = pointwise(features, channels);
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W], or [N, m, H, W] without reconstruction */
  forward(x: Tensor): Tensor {
    const features = flattenPositions(this.convA.forward(x)); // [N, m, P]
    const maps = this.tap("attentionMaps", softmaxOverPositions(this.convB.forward(x))); // [N, n, H, W]
    const vectors = this.tap("attentionVectors", softmax(this.convV.forward(x), { axis: 1 })); // [N, n, H, W]
    const distributed = this.#distribute(features, flattenPositions(maps), flattenPositions(vectors)); // [N, m, P]
    const image = unflattenPositions(distributed, { like: x }); // [N, m, H, W]
    const z = this.convReconstruct?.forward(image) ?? image;
    return this.options.residual ? add(x, z) : z;
  }

  /** A (B^T V): [N, m, P], [N, n, P], [N, n, P] -> [N, m, P]. */
  #distribute(features: Tensor, maps: Tensor, vectors: Tensor): Tensor {
    if (this.options.order === "attention-first") return matmul(features, innerProducts(maps, vectors));
    return matmul(weightedSums(maps, features), vectors); // by the descriptors [N, m, n]
  }
}
