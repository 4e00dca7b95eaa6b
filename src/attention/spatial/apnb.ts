import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { Dropout } from "../../nn/dropout.js";
import { constantValue } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { concat } from "../../ops/shape.js";
import { sameAs } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { dropRate, size } from "../options.js";
import { gatherRegions, poolSizes, regionAttention, regionCount, regionMap } from "../regions.js";

/**
 * Asymmetric pyramid non-local block: every pixel attends to a few averaged regions instead of to every pixel.
 * Zhu, Xu, Bai, Huang, Bai: Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV 2019, arXiv:1908.07678, section 3.2.
 * As in the reference code, one projection is query and key, the block has its own output convolution, and in training the running
 * statistics of the key's normalization move twice a step.
 */
export class APNB extends mechanism({
  id: "apnb",
  name: "Asymmetric Pyramid Non-local Block",
  family: "spatial",
  year: 2019,
  paper:
    "Zhu, Xu, Bai, Huang, Bai: Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV 2019",
  arxiv: "1908.07678",
  formula: String.raw`\mathbf{y} = \mathrm{BNReLU}\!\left(W_o\left[W_c\,\mathrm{softmax}\!\left(\tfrac{1}{\sqrt{k}}\,\phi^\top \mathrm{P}(\phi)\right)\mathrm{P}(W_v\mathbf{x})^\top;\ \mathbf{x}\right]\right),\quad \phi = \mathrm{ReLU}(\mathrm{BN}(W_k\mathbf{x}))`,
  options: z.strictObject({
    channels: size,
    keyChannels: z._default(size, 256),
    valueChannels: z._default(size, 256),
    poolSizes,
    dropout: z._default(dropRate, 0.05),
  }),
  maps: (options) => ({ attention: regionMap(options.poolSizes) }),
  parameters: ({ channels: c, keyChannels: k, valueChannels: v }) =>
    c * k + 3 * k + (c * v + v) + (v * c + c) + (2 * c * c + c) + 2 * c,
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels: c, keyChannels: k, valueChannels: v } = options;
    const products = regionCount(options.poolSizes) * (k + v);
    return batch * height * width * (c * k + 2 * c * v + products + 2 * c * c);
  },
  refused: [
    { channels: 0 },
    { keyChannels: 0 },
    { valueChannels: 0 },
    { poolSizes: [] },
    { poolSizes: [0] },
    { dropout: 1 },
  ],
  examples: [
    {
      options: { channels: 8, keyChannels: 4, valueChannels: 6, dropout: 0 },
      sizes: { batch: 2, height: 5, width: 7 },
    },
    {
      options: { channels: 6, keyChannels: 4, valueChannels: 3, poolSizes: [1, 2], dropout: 0.5 },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
  checkpoints: {
    "MendelXu/ANN": {
      "stages.0.f_key.0": "keyConv",
      "stages.0.f_key.1.0": "keyNorm",
      "stages.0.f_query.0": sameAs("keyConv"),
      "stages.0.f_query.1.0": sameAs("keyNorm"),
      "stages.0.f_value": "valueConv",
      "stages.0.W": "contextConv",
      "conv_bn_dropout.0": "outConv",
      "conv_bn_dropout.1.0": "outNorm",
    },
  },
}) {
  readonly keyConv: Conv2d;
  readonly keyNorm: BatchNorm;
  readonly valueConv: Conv2d;
  readonly contextConv: Conv2d;
  readonly outConv: Conv2d;
  readonly outNorm: BatchNorm;
  readonly drop: Dropout;

  constructor(options: Options<typeof APNB>) {
    super(options);
    const { channels: c, keyChannels: k, valueChannels: v, dropout } = this.options;
    this.keyConv = new Conv2d({ inChannels: c, outChannels: k, kernel: 1 });
    this.keyNorm = new BatchNorm({ channels: k });
    this.valueConv = new Conv2d({ inChannels: c, outChannels: v, kernel: 1 });
    this.contextConv = new Conv2d({
      inChannels: v,
      outChannels: c,
      kernel: 1,
      initializer: constantValue(0),
    });
    this.outConv = new Conv2d({ inChannels: 2 * c, outChannels: c, kernel: 1 });
    this.outNorm = new BatchNorm({ channels: c });
    this.drop = new Dropout({ rate: dropout, sharedAxes: [2, 3] });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const sizes = this.options.poolSizes;
    const features = this.#features(x); // [N, k, H, W]
    const attention = this.tap("attention", regionAttention(features, features, sizes)); // [N, P, S]
    const gathered = gatherRegions(attention, this.valueConv.forward(x), { sizes, like: x }); // [N, v, H, W]
    const context = this.contextConv.forward(gathered); // [N, C, H, W]
    const merged = this.outConv.forward(concat([context, x], { axis: 1 }));
    return this.drop.forward(relu(this.outNorm.forward(merged)));
  }

  /** Query and key: one projection. The reference normalizes it once for each, so its running statistics move twice. */
  #features(x: Tensor): Tensor {
    const projected = this.keyConv.forward(x);
    if (this.training) this.keyNorm.forward(projected);
    return relu(this.keyNorm.forward(projected));
  }
}
