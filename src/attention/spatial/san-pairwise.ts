import * as z from "zod/mini";
import { constant } from "../../graph/constant.js";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { relu } from "../../ops/activation.js";
import { sub } from "../../ops/arithmetic.js";
import { expandBatch } from "../../ops/expand-batch.js";
import { softmax } from "../../ops/normalize.js";
import { concat, reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { flattenPositions } from "../positions.js";
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

/** `count` numbers from -1 to 1; a single one is -1. */
function coordinates(count: number): number[] {
  return Array.from({ length: count }, (_, index) => (count > 1 ? (2 * index) / (count - 1) - 1 : -1));
}

/** Coordinates of the pixels, column then row: [1, 2, H, W]. */
function positionMap(height: number, width: number): Tensor {
  const [rows, columns] = [coordinates(height), coordinates(width)];
  const data = [...rows.flatMap(() => columns), ...rows.flatMap((row) => columns.map(() => row))];
  return constant(data, { shape: [1, 2, height, width] });
}

/**
 * Pairwise self-attention of SAN: the weights of a neighbour come from its key and the query, subtracted, and from the positions of
 * the two; they are vectors, shared by the channels c with equal c mod G, and a softmax over the window makes them sum to one.
 * Zhao, Jia, Koltun: Exploring Self-Attention for Image Recognition, CVPR 2020, arXiv:2004.13621, with the relation
 * "subtraction". As in the authors' code, windows are mirrored at the border.
 */
export class PairwiseSelfAttention extends mechanism({
  id: "san-pairwise",
  name: "Pairwise Self-Attention (SAN)",
  family: "spatial",
  year: 2020,
  paper: "Zhao, Jia, Koltun: Exploring Self-Attention for Image Recognition, CVPR 2020",
  arxiv: "2004.13621",
  formula: String.raw`\mathbf{y}_i = \sum_{j \in \mathcal{R}(i)} \mathrm{softmax}_j\!\left(\gamma[\varphi(\mathbf{x}_i) - \psi(\mathbf{x}_j);\ \mathbf{p}_i - \mathbf{p}_j]\right) \odot \beta(\mathbf{x}_j)`,
  options: z.strictObject({ ...sanOptions, dilation: z._default(size, 1) }).check(sharesDivide),
  maps: (options) => {
    const { weights, window } = sanWidths(options);
    return {
      weights: {
        kind: "tokens",
        shape: ["batch", weights, window, "height", "width"],
        range: [0, 1],
        sumsToOne: [2],
        places: {
          keys: {
            form: "window",
            side: options.kernelSize,
            dilation: options.dilation,
            border: "mirrored",
          },
        },
      },
    };
  },
  calls: sanCalls,
  parameters: (options) => {
    const widths = sanWidths(options);
    const { relation: r, weights: g } = widths;
    return projectionParameters(widths) + 6 + 2 * (r + 2) + (r + 2) * r + 2 * r + r * g + g;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels: c, relation: r, out: o, weights: g, window: k } = sanWidths(options);
    const perPixel = c * (2 * r + o) + k * (r * (r + 2) + r * g + o);
    // The positions are those of every sample.
    return height * width * (batch * perPixel + 4);
  },
  refused: [
    { channels: 0 },
    { relationChannels: 0 },
    { outChannels: 0 },
    { shareChannels: 0 },
    { shareChannels: 5 },
    { kernelSize: 4 },
    { dilation: 0 },
  ],
  examples: [
    {
      options: { channels: 8, relationChannels: 3, outChannels: 8, shareChannels: 4, kernelSize: 3 },
      sizes: { batch: 2, height: 4, width: 5 },
    },
    {
      options: { channels: 16, shareChannels: 2, kernelSize: 3, dilation: 2 },
      sizes: { batch: 2, height: 3, width: 4 },
    },
  ],
  checkpoints: { "hszhao/SAN": { ...sanCheckpoint, conv_p: "positionConv" } },
}) {
  readonly queryConv: Conv2d;
  readonly keyConv: Conv2d;
  readonly valueConv: Conv2d;
  readonly positionConv: Conv2d;
  readonly weightNorm1: BatchNorm;
  readonly weightConv1: Conv2d;
  readonly weightNorm2: BatchNorm;
  readonly weightConv2: Conv2d;

  constructor(options: Options<typeof PairwiseSelfAttention>) {
    super(options);
    const widths = sanWidths(this.options);
    const { relation: r, weights: g } = widths;
    const { query, key, value } = sanProjections(widths);
    this.queryConv = query;
    this.keyConv = key;
    this.valueConv = value;
    this.positionConv = new Conv2d({ inChannels: 2, outChannels: 2, kernel: 1 });
    this.weightNorm1 = new BatchNorm({ channels: r + 2 });
    this.weightConv1 = new Conv2d({ inChannels: r + 2, outChannels: r, kernel: 1, bias: false });
    this.weightNorm2 = new BatchNorm({ channels: r });
    this.weightConv2 = new Conv2d({ inChannels: r, outChannels: g, kernel: 1 });
  }

  /** @param x [N, C, H, W]  @returns [N, O, H, W] */
  forward(x: Tensor): Tensor {
    const [height, width] = [x.size(2), x.size(3)];
    const { weights: groups, window } = sanWidths(this.options);
    const features = this.#differences(this.queryConv.forward(x), this.keyConv.forward(x)); // [N, r, K, P]
    const p = this.positionConv.forward(positionMap(height, width)); // [1, 2, H, W]
    const positions = expandBatch(this.#differences(p, p), { like: x }); // [N, 2, K, P]
    const relation = concat([features, positions], { axis: 1 }); // [N, r + 2, K, P]
    const h = this.weightConv1.forward(relu(this.weightNorm1.forward(relation))); // [N, r, K, P]
    const logits = this.weightConv2.forward(relu(this.weightNorm2.forward(h))); // [N, G, K, P]
    const weights = softmax(logits, { axis: 2 });
    this.tap("weights", reshape(weights, { shape: [-1, groups, window, height, width] }));
    return aggregate(this.valueConv.forward(x), weights, this.options);
  }

  /** Each pixel of `center` minus the pixels of `around` in its window: [N, c, H, W] -> [N, c, K, P]. */
  #differences(center: Tensor, around: Tensor): Tensor {
    const positions = center.size(2) * center.size(3);
    const own = reshape(flattenPositions(center), { shape: [-1, center.size(1), 1, positions] });
    return sub(own, reflectedWindows(around, this.options));
  }
}
