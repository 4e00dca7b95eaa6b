import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { add } from "../../ops/arithmetic.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, size } from "../options.js";
import { pooledContext, softmaxOverPositions } from "../positions.js";

/**
 * Simplified non-local block: all pixels attend alike, so that one context is added to every pixel.
 * Cao, Xu, Lin, Wei, Hu: GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, ICCVW 2019, arXiv:1904.11492, eq. 2
 * (order "transform-first") and eq. 3 ("pool-first": the same result with one product instead of one per pixel).
 */
export class SimplifiedNonLocal extends mechanism({
  id: "simplified-nl",
  name: "Simplified Non-local Block",
  family: "spatial",
  year: 2019,
  paper:
    "Cao, Xu, Lin, Wei, Hu: GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, ICCVW 2019",
  arxiv: "1904.11492",
  formula: String.raw`\mathbf{y}_i = \mathbf{x}_i + W_v \sum_j \mathrm{softmax}_j(W_k \mathbf{x}_j)\,\mathbf{x}_j`,
  options: z.strictObject({
    channels: size,
    order: z._default(z.enum(["transform-first", "pool-first"]), "pool-first"),
    bias: flag(false),
  }),
  maps: () => ({
    attention: {
      kind: "spatial",
      shape: ["batch", 1, "height", "width"],
      range: [0, 1],
      sumsToOne: [2, 3],
    },
  }),
  parameters: ({ channels: c, bias }) => c + c * c + (bias ? 1 + c : 0),
  macs: ({ channels: c, order }, { batch = 1, height = 1, width = 1 }) => {
    const pixels = height * width;
    return batch * (c * c * (order === "pool-first" ? 1 : pixels) + 2 * pixels * c);
  },
  refused: [{ channels: 0 }, { order: "value-first" }],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 6, order: "transform-first", bias: true },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
}) {
  readonly convKey: Conv2d;
  readonly convValue: Conv2d;

  constructor(options: Options<typeof SimplifiedNonLocal>) {
    super(options);
    const { channels, bias } = this.options;
    this.convKey = new Conv2d({ inChannels: channels, outChannels: 1, kernel: 1, bias });
    this.convValue = new Conv2d({ inChannels: channels, outChannels: channels, kernel: 1, bias });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const attention = this.tap("attention", softmaxOverPositions(this.convKey.forward(x))); // [N, 1, H, W]
    const context =
      this.options.order === "pool-first"
        ? this.convValue.forward(pooledContext(x, attention))
        : pooledContext(this.convValue.forward(x), attention); // [N, C, 1, 1]
    return add(x, context);
  }
}
