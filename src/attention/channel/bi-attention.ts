import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { mul, square } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { concat, slice } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { leavesChannels, reducedWidth } from "../reduction.js";

/** Number of products of two of m channels. */
function pairCount(m: number): number {
  return (m * (m + 1)) / 2;
}

/**
 * Local bilinear pooling: at each pixel the products of all pairs of channels, diagonal by diagonal of their matrix:
 * [N, m, H, W] -> [N, m (m + 1) / 2, H, W].
 */
function bilinearPool(u: Tensor): Tensor {
  const m = u.size(1);
  const diagonals = Array.from({ length: m }, (_, offset) => {
    if (offset === 0) return square(u);
    const upper = slice(u, { axes: [1], starts: [offset], ends: [m] });
    return mul(upper, slice(u, { axes: [1], starts: [0], ends: [m - offset] })); // u_{j + offset} u_j
  });
  return concat(diagonals, { axis: 1 });
}

/**
 * Bilinear attention block: a pointwise gate from second-order local features, itself weighted by a global gate over them.
 * Fang, Zhou, Roy, Petersson, Harandi: Bilinear Attention Networks for Person Retrieval, ICCV 2019, doi:10.1109/ICCV.2019.00812.
 * As in the reference code, the local features are plain products of the channels at a pixel, not covariances.
 */
export class BilinearAttention extends mechanism({
  id: "bi-attention",
  name: "Bilinear Attention",
  family: "channel",
  year: 2019,
  paper:
    "Fang, Zhou, Roy, Petersson, Harandi: Bilinear Attention Networks for Person Retrieval, ICCV 2019, doi:10.1109/ICCV.2019.00812",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(\phi(\mathrm{GAP}(\mathbf{b}))\,\varphi(\mathbf{b})\right),\quad \mathbf{b} = \mathrm{UTri}(\mathbf{u}\mathbf{u}^\top)\ \text{at each pixel},\ \mathbf{u} = \theta(\mathbf{x})`,
  options: z.strictObject({ channels: size, reduction: z._default(size, 16) }).check(leavesChannels),
  maps: ({ channels }) => ({
    attention: { kind: "spatial", shape: ["batch", channels, "height", "width"], range: [0.5, 1] },
    global: { kind: "channel-gate", shape: ["batch", channels, 1, 1] },
    local: { kind: "spatial", shape: ["batch", channels, "height", "width"] },
  }),
  parameters: (options) => {
    const [c, m] = [options.channels, reducedWidth(options)];
    return c * m + 3 * m + 2 * (pairCount(m) * c + 3 * c);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const [c, m] = [options.channels, reducedWidth(options)];
    return batch * ((c * m + pairCount(m) * c) * height * width + pairCount(m) * c);
  },
  refused: [{ channels: 0 }, { reduction: 0 }, { reduction: 1000 }],
  examples: [
    { options: { channels: 8, reduction: 2 }, sizes: { batch: 3, height: 5, width: 4 } },
    { options: { channels: 16 }, sizes: { batch: 2, height: 3, width: 3 } },
  ],
  checkpoints: {
    "PengfeiFANGanu/Attention-in-Attention-Networks": {
      "dimReduceLayer1.conv": "reduce",
      "dimReduceLayer2.conv": "local",
      "dimReduceLayer3.conv": "global",
    },
  },
}) {
  readonly reduce: ConvNorm;
  readonly local: ConvNorm;
  readonly global: ConvNorm;

  constructor(options: Options<typeof BilinearAttention>) {
    super(options);
    const { channels } = this.options;
    const width = reducedWidth(this.options);
    const pairs = pairCount(width);
    this.reduce = new ConvNorm({ inChannels: channels, outChannels: width, kernel: 1, bias: true });
    this.local = new ConvNorm({ inChannels: pairs, outChannels: channels, kernel: 1, bias: true });
    this.global = new ConvNorm({ inChannels: pairs, outChannels: channels, kernel: 1, bias: true });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const b = bilinearPool(relu(this.reduce.forward(x))); // [N, q, H, W]
    const g = this.tap("global", relu(this.global.forward(mean(b, { axes: [2, 3] })))); // [N, C, 1, 1]
    const l = this.tap("local", relu(this.local.forward(b))); // [N, C, H, W]
    return mul(x, this.tap("attention", sigmoid(mul(g, l))));
  }
}
