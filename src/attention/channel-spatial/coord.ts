import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { hardSwish, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { concat, reshape, slice } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";

interface WidthOptions {
  readonly channels: number;
  readonly reduction: number;
  readonly reducedChannels?: number | null | undefined;
}

function hiddenWidth({ channels, reduction, reducedChannels }: WidthOptions): number {
  return reducedChannels ?? Math.max(8, Math.floor(channels / reduction));
}

/**
 * Coordinate attention: a gate per channel and row times a gate per channel and column, from means along the other axis.
 * Hou, Zhou, Feng: Coordinate Attention for Efficient Mobile Network Design, CVPR 2021, arXiv:2103.02907, eq. 4 to 9.
 * The paper leaves the activation open; as in the reference code it is the hard swish.
 */
export class CoordinateAttention extends mechanism({
  id: "coord",
  name: "Coordinate Attention",
  family: "channel-spatial",
  year: 2021,
  paper: "Hou, Zhou, Feng: Coordinate Attention for Efficient Mobile Network Design, CVPR 2021",
  arxiv: "2103.02907",
  formula: String.raw`\mathbf{y}_{ij} = \mathbf{x}_{ij}\,\sigma(F_h\mathbf{f}^h_i)\,\sigma(F_w\mathbf{f}^w_j),\quad [\mathbf{f}^h; \mathbf{f}^w] = \delta\!\left(\mathrm{BN}\,F_1[\mathrm{mean}_w\mathbf{x}; \mathrm{mean}_h\mathbf{x}]\right)`,
  options: z.strictObject({
    channels: size,
    reduction: z._default(positive, 32),
    reducedChannels: optional(size),
    bias: flag(true),
    residual: flag(false),
  }),
  maps: ({ channels }) => ({
    height: { kind: "spatial", shape: ["batch", channels, "height", 1], range: [0, 1] },
    width: { kind: "spatial", shape: ["batch", channels, 1, "width"], range: [0, 1] },
  }),
  parameters: (options) => {
    const [c, m] = [options.channels, hiddenWidth(options)];
    return 3 * c * m + 2 * m + (options.bias ? m + 2 * c : 0);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) =>
    batch * 2 * options.channels * hiddenWidth(options) * (height + width),
  refused: [{ channels: 0 }, { reduction: 0 }, { reducedChannels: 0 }],
  examples: [
    { options: { channels: 16, reduction: 2 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 6, reducedChannels: 3, bias: false, residual: true },
      sizes: { batch: 3, height: 1, width: 4 },
    },
  ],
}) {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm;
  readonly convH: Conv2d;
  readonly convW: Conv2d;

  constructor(options: Options<typeof CoordinateAttention>) {
    super(options);
    const { channels, bias } = this.options;
    const hidden = hiddenWidth(this.options);
    this.conv1 = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1, bias });
    this.bn1 = new BatchNorm({ channels: hidden });
    this.convH = new Conv2d({ inChannels: hidden, outChannels: channels, kernel: 1, bias });
    this.convW = new Conv2d({ inChannels: hidden, outChannels: channels, kernel: 1, bias });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const [channels, height, width] = [x.size(1), x.size(2), x.size(3)];
    const rows = mean(x, { axes: [3] }); // [N, C, H, 1]  eq. 4
    const columns = reshape(mean(x, { axes: [2] }), { shape: [-1, channels, width, 1] }); // [N, C, W, 1]  eq. 5
    const pooled = concat([rows, columns], { axis: 2 }); // [N, C, H + W, 1]
    const f = hardSwish(this.bn1.forward(this.conv1.forward(pooled))); // [N, m, H + W, 1]  eq. 6
    const ofRows = slice(f, { axes: [2], starts: [0], ends: [height] }); // [N, m, H, 1]
    const ofColumns = slice(f, { axes: [2], starts: [height], ends: [height + width] }); // [N, m, W, 1]
    const gh = this.tap("height", sigmoid(this.convH.forward(ofRows))); // [N, C, H, 1]  eq. 7
    const gateOfColumns = sigmoid(this.convW.forward(ofColumns)); // [N, C, W, 1]  eq. 8
    const gw = this.tap("width", reshape(gateOfColumns, { shape: [-1, channels, 1, width] }));
    const y = mul(x, mul(gh, gw)); // eq. 9
    return this.options.residual ? add(y, x) : y;
  }
}
