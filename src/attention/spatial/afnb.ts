import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { Dropout } from "../../nn/dropout.js";
import { constantValue } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { concat } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { dropRate, size } from "../options.js";
import { gatherRegions, poolSizes, regionAttention, regionCount, regionMap } from "../regions.js";

/**
 * Asymmetric fusion non-local block: every pixel of the features of a late stage attends to a few averaged regions of an early stage.
 * Zhu, Xu, Bai, Huang, Bai: Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV 2019, arXiv:1908.07678, section 3.3.
 * As in the reference code the block has its own output convolution, with no ReLU behind it, unlike the pyramid block.
 */
export class AFNB extends mechanism({
  id: "afnb",
  name: "Asymmetric Fusion Non-local Block",
  family: "spatial",
  year: 2019,
  paper:
    "Zhu, Xu, Bai, Huang, Bai: Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV 2019",
  arxiv: "1908.07678",
  formula: String.raw`\mathbf{y} = \mathrm{BN}\!\left(W_o\left[W_c\,\mathrm{softmax}\!\left(\tfrac{1}{\sqrt{k}}\,\phi(\mathbf{x}_h)^\top \mathrm{P}(\gamma(\mathbf{x}_l))\right)\mathrm{P}(W_v\mathbf{x}_l)^\top;\ \mathbf{x}_h\right]\right)`,
  options: z.strictObject({
    lowChannels: z._default(size, 1024),
    highChannels: z._default(size, 2048),
    outChannels: z._default(size, 2048),
    keyChannels: z._default(size, 256),
    valueChannels: z._default(size, 256),
    poolSizes,
    dropout: z._default(dropRate, 0.05),
  }),
  maps: (options) => ({ attention: regionMap(options.poolSizes) }),
  calls: ({ lowChannels, highChannels, outChannels }) => ({
    forward: {
      inputs: {
        low: { shape: ["batch", lowChannels, "lowHeight", "lowWidth"] },
        high: { shape: ["batch", highChannels, "height", "width"] },
      },
      outputs: { y: ["batch", outChannels, "height", "width"] },
    },
  }),
  parameters: (options) => {
    const { lowChannels: l, highChannels: g, outChannels: o, keyChannels: k, valueChannels: v } = options;
    return g * k + 3 * k + (l * k + 3 * k) + (l * v + v) + (v * o + o) + ((o + g) * o + o) + 2 * o;
  },
  macs: (options, { batch = 1, height = 1, width = 1, lowHeight = 1, lowWidth = 1 }) => {
    const { lowChannels: l, highChannels: g, outChannels: o, keyChannels: k, valueChannels: v } = options;
    const products = regionCount(options.poolSizes) * (k + v);
    const high = height * width * (g * k + products + v * o + (o + g) * o);
    return batch * (high + lowHeight * lowWidth * (l * k + l * v));
  },
  refused: [
    { lowChannels: 0 },
    { highChannels: 0 },
    { outChannels: 0 },
    { keyChannels: 0 },
    { valueChannels: 0 },
    { poolSizes: [] },
    { poolSizes: [0] },
    { dropout: 1 },
  ],
  examples: [
    {
      options: {
        lowChannels: 6,
        highChannels: 8,
        outChannels: 8,
        keyChannels: 4,
        valueChannels: 5,
        dropout: 0,
      },
      sizes: { batch: 2, lowHeight: 6, lowWidth: 7, height: 3, width: 4 },
    },
    {
      options: {
        lowChannels: 5,
        highChannels: 4,
        outChannels: 6,
        keyChannels: 3,
        valueChannels: 4,
        poolSizes: [1, 2],
        dropout: 0.5,
      },
      sizes: { batch: 3, lowHeight: 4, lowWidth: 4, height: 4, width: 4 },
    },
  ],
  checkpoints: {
    "MendelXu/ANN": {
      "stages.0.f_query.0": "queryConv",
      "stages.0.f_query.1.0": "queryNorm",
      "stages.0.f_key.0": "keyConv",
      "stages.0.f_key.1.0": "keyNorm",
      "stages.0.f_value": "valueConv",
      "stages.0.W": "contextConv",
      "conv_bn_dropout.0": "outConv",
      "conv_bn_dropout.1": "outNorm",
    },
  },
}) {
  readonly queryConv: Conv2d;
  readonly queryNorm: BatchNorm;
  readonly keyConv: Conv2d;
  readonly keyNorm: BatchNorm;
  readonly valueConv: Conv2d;
  readonly contextConv: Conv2d;
  readonly outConv: Conv2d;
  readonly outNorm: BatchNorm;
  readonly drop: Dropout;

  constructor(options: Options<typeof AFNB>) {
    super(options);
    const { lowChannels, highChannels, outChannels, keyChannels, valueChannels, dropout } = this.options;
    const pointwise = (inChannels: number, width: number) =>
      new Conv2d({ inChannels, outChannels: width, kernel: 1 });
    this.queryConv = pointwise(highChannels, keyChannels);
    this.queryNorm = new BatchNorm({ channels: keyChannels });
    this.keyConv = pointwise(lowChannels, keyChannels);
    this.keyNorm = new BatchNorm({ channels: keyChannels });
    this.valueConv = pointwise(lowChannels, valueChannels);
    this.contextConv = new Conv2d({
      inChannels: valueChannels,
      outChannels,
      kernel: 1,
      initializer: constantValue(0),
    });
    this.outConv = pointwise(outChannels + highChannels, outChannels);
    this.outNorm = new BatchNorm({ channels: outChannels });
    this.drop = new Dropout({ rate: dropout, sharedAxes: [2, 3] });
  }

  /** @param inputs low [N, L, h, w] of keys and values, high [N, G, H, W] of queries  @returns [N, O, H, W] */
  forward({ low, high }: { readonly low: Tensor; readonly high: Tensor }): Tensor {
    const sizes = this.options.poolSizes;
    const query = relu(this.queryNorm.forward(this.queryConv.forward(high))); // [N, k, H, W]
    const key = relu(this.keyNorm.forward(this.keyConv.forward(low))); // [N, k, h, w]
    const attention = this.tap("attention", regionAttention(query, key, sizes)); // [N, P, S]
    const gathered = gatherRegions(attention, this.valueConv.forward(low), { sizes, like: high }); // [N, v, H, W]
    const context = this.contextConv.forward(gathered); // [N, O, H, W]
    const merged = this.outConv.forward(concat([context, high], { axis: 1 }));
    return this.drop.forward(this.outNorm.forward(merged));
  }
}
