import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { relu } from "../../ops/activation.js";
import { concat, reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import {
  aggregate,
  projectionParameters,
  reflectedWindows,
  sanCalls,
  sanCheckpoint,
  sanOptions,
  sanProjections,
  sanWidths,
  sharesDivide,
} from "./self-attention-network.js";

/**
 * Patchwise self-attention of SAN: the query of a pixel and the keys of its whole window together give the weights of every element of
 * the window. They are vectors, shared by the channels c with equal c mod G, without softmax, and can express a convolution.
 * Zhao, Jia, Koltun: Exploring Self-Attention for Image Recognition, CVPR 2020, arXiv:2004.13621, with the relation
 * "concatenation". As in the authors' code, windows are mirrored at the border; dilated ones fail there and are refused.
 */
export class PatchwiseSelfAttention extends mechanism({
  id: "san-patchwise",
  name: "Patchwise Self-Attention (SAN)",
  family: "spatial",
  year: 2020,
  paper: "Zhao, Jia, Koltun: Exploring Self-Attention for Image Recognition, CVPR 2020",
  arxiv: "2004.13621",
  formula: String.raw`\mathbf{y}_i = \sum_{j \in \mathcal{R}(i)} \gamma\!\left([\varphi(\mathbf{x}_i);\ [\psi(\mathbf{x}_l)]_{l \in \mathcal{R}(i)}]\right)_j \odot \beta(\mathbf{x}_j)`,
  options: z
    .strictObject({
      ...sanOptions,
      dilation: z._default(size.check(z.refine((dilation) => dilation === 1, "must be 1")), 1),
    })
    .check(sharesDivide),
  maps: (options) => {
    const { weights, window } = sanWidths(options);
    return {
      weights: {
        kind: "tokens",
        shape: ["batch", weights, window, "height", "width"],
        places: {
          keys: { form: "window", side: options.kernelSize, dilation: 1, border: "mirrored" },
        },
      },
    };
  },
  calls: sanCalls,
  parameters: (options) => {
    const widths = sanWidths(options);
    const { relation: r, weights: g, window: k } = widths;
    const d = r * (k + 1);
    return projectionParameters(widths) + 2 * d + d * g + 2 * g + k * g * g + k * g;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels: c, relation: r, out: o, weights: g, window: k } = sanWidths(options);
    return batch * height * width * (c * (2 * r + o) + r * (k + 1) * g + k * g * g + k * o);
  },
  refused: [
    { channels: 0 },
    { relationChannels: 0 },
    { outChannels: 0 },
    { shareChannels: 0 },
    { shareChannels: 5 },
    { kernelSize: 4 },
    { dilation: 2 },
  ],
  examples: [
    {
      options: { channels: 8, relationChannels: 3, outChannels: 8, shareChannels: 4, kernelSize: 3 },
      sizes: { batch: 2, height: 4, width: 5 },
    },
    {
      options: { channels: 16, shareChannels: 2, kernelSize: 5 },
      sizes: { batch: 2, height: 3, width: 4 },
    },
  ],
  checkpoints: { "hszhao/SAN": sanCheckpoint },
}) {
  readonly queryConv: Conv2d;
  readonly keyConv: Conv2d;
  readonly valueConv: Conv2d;
  readonly weightNorm1: BatchNorm;
  readonly weightConv1: Conv2d;
  readonly weightNorm2: BatchNorm;
  readonly weightConv2: Conv2d;

  constructor(options: Options<typeof PatchwiseSelfAttention>) {
    super(options);
    const widths = sanWidths(this.options);
    const { relation: r, weights: g, window: k } = widths;
    const { query, key, value } = sanProjections(widths);
    this.queryConv = query;
    this.keyConv = key;
    this.valueConv = value;
    this.weightNorm1 = new BatchNorm({ channels: r * (k + 1) });
    this.weightConv1 = new Conv2d({ inChannels: r * (k + 1), outChannels: g, kernel: 1, bias: false });
    this.weightNorm2 = new BatchNorm({ channels: g });
    this.weightConv2 = new Conv2d({ inChannels: g, outChannels: k * g, kernel: 1 });
  }

  /** @param x [N, C, H, W]  @returns [N, O, H, W] */
  forward(x: Tensor): Tensor {
    const [height, width] = [x.size(2), x.size(3)];
    const positions = height * width; // P
    const { relation: r, weights: g, window: k } = sanWidths(this.options);
    const query = reshape(this.queryConv.forward(x), { shape: [-1, r, 1, positions] });
    const keys = reflectedWindows(this.keyConv.forward(x), this.options); // [N, r, K, P]
    const patch = reshape(keys, { shape: [-1, r * k, 1, positions] });
    const relation = concat([query, patch], { axis: 1 }); // [N, r (K + 1), 1, P]
    const h = this.weightConv1.forward(relu(this.weightNorm1.forward(relation))); // [N, G, 1, P]
    const flat = this.weightConv2.forward(relu(this.weightNorm2.forward(h))); // [N, G K, 1, P]
    const weights = reshape(flat, { shape: [-1, g, k, positions] });
    this.tap("weights", reshape(weights, { shape: [-1, g, k, height, width] }));
    return aggregate(this.valueConv.forward(x), weights, this.options);
  }
}
