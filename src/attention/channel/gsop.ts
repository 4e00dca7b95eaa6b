import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import type { Conv2d } from "../../nn/conv.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { mul } from "../../ops/arithmetic.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { covariance, fanOutConv, RowConv } from "../second-order.js";

/**
 * Global second-order pooling block, channel-wise: the gate comes from the covariance of the reduced channels over all pixels.
 * Gao, Xie, Wang, Li: Global Second-order Pooling Convolutional Networks, CVPR 2019, arXiv:1811.12006, section 3.
 * As in the reference code, the input is rectified before the reduction, each row of the covariance is batch-normalized, and no
 * activation stands between the row-wise convolution and the last layer.
 */
export class GSoP extends mechanism({
  id: "gsop",
  name: "Global Second-order Pooling",
  family: "channel",
  year: 2019,
  paper: "Gao, Xie, Wang, Li: Global Second-order Pooling Convolutional Networks, CVPR 2019",
  arxiv: "1811.12006",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(W\,\mathrm{RC}(\mathrm{BN}(\mathrm{Cov}(\mathbf{u})))\right),\quad \mathbf{u} = \delta(\mathrm{BN}(\mathrm{Conv}(\delta(\mathbf{x}))))`,
  options: z.strictObject({
    channels: size,
    reducedChannels: z._default(size, 128),
    stride: z._default(size, 1),
  }),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] },
  }),
  parameters: ({ channels: c, reducedChannels: d }) =>
    c * d + d + 4 * d + (4 * d * d + 4 * d) + 4 * d * c + c,
  macs: ({ channels: c, reducedChannels: d, stride }, { batch = 1, height = 1, width = 1 }) => {
    const positions = Math.ceil(height / stride) * Math.ceil(width / stride);
    return batch * (c * d * positions + d * d * positions + 4 * d * d + 4 * d * c);
  },
  refused: [{ channels: 0 }, { reducedChannels: 0 }, { stride: 0 }],
  examples: [
    { options: { channels: 12, reducedChannels: 4 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 8, reducedChannels: 3, stride: 2 }, sizes: { batch: 3, height: 5, width: 6 } },
  ],
  checkpoints: {
    "ZilinGao/Global-Second-order-Pooling-Convolutional-Networks": {
      conv_for_DR: "reduceConv",
      bn_for_DR: "reduceBn",
      row_conv_group: "rowConv",
      fc_adapt_channels: "fc",
    },
  },
}) {
  readonly reduceConv: Conv2d;
  readonly reduceBn: BatchNorm;
  readonly rowBn: BatchNorm;
  readonly rowConv: RowConv;
  readonly fc: Conv2d;

  constructor(options: Options<typeof GSoP>) {
    super(options);
    const { channels, reducedChannels: d, stride } = this.options;
    this.reduceConv = fanOutConv({ inChannels: channels, outChannels: d, stride });
    this.reduceBn = new BatchNorm({ channels: d });
    this.rowBn = new BatchNorm({ channels: d });
    this.rowConv = new RowConv({ rows: d });
    this.fc = fanOutConv({ inChannels: 4 * d, outChannels: channels });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const { reducedChannels: d } = this.options;
    const u = relu(this.reduceBn.forward(this.reduceConv.forward(relu(x)))); // [N, d, H', W']
    const pooled = covariance(reshape(u, { shape: [-1, d, u.size(2) * u.size(3)] })); // [N, d, d]
    const rows = this.rowBn.forward(pooled); // with statistics of each matrix row
    const gate = sigmoid(this.fc.forward(this.rowConv.forward(rows))); // [N, 4d, 1, 1] -> [N, C, 1, 1]
    return mul(x, this.tap("attention", gate));
  }
}
