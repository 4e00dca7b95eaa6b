import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import type { Conv2d } from "../../nn/conv.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { mul } from "../../ops/arithmetic.js";
import { adaptiveAveragePool2d } from "../../ops/pool.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { fanOutConv, positionStatistics, RowConv } from "../second-order.js";

/**
 * Global second-order pooling block, position-wise: the gate of each cell of a grid comes from its covariance with the other cells.
 * Gao, Xie, Wang, Li: Global Second-order Pooling Convolutional Networks, CVPR 2019, arXiv:1811.12006, section 3.
 * As in the reference code, the covariance over d channels is divided by the number of positions M, the gate is brought to the size
 * of the input by adaptive pooling, and the result is rectified.
 */
export class GSoPPosition extends mechanism({
  id: "gsop-position",
  name: "Global Second-order Pooling, position-wise",
  family: "channel",
  year: 2019,
  paper: "Gao, Xie, Wang, Li: Global Second-order Pooling Convolutional Networks, CVPR 2019",
  arxiv: "1811.12006",
  formula: String.raw`\mathbf{y} = \delta\!\left(\mathbf{x}\;\mathrm{up}\!\left(\sigma(W\,\delta(\mathrm{RC}(\mathrm{BN}(P^\top K P))))\right)\right),\quad P = \mathrm{pool}(\mathrm{BN}(\mathrm{Conv}(\delta(\mathbf{x})))),\ K = \tfrac{1}{M} I - \tfrac{1}{M^2}\mathbf{1}\mathbf{1}^\top`,
  options: z.strictObject({
    channels: size,
    reducedChannels: z._default(size, 128),
    poolSize: z._default(z.tuple([size, size]), [8, 8]),
  }),
  maps: () => ({
    attention: { kind: "spatial", shape: ["batch", 1, "height", "width"], range: [0, 1] },
  }),
  parameters: ({ channels: c, reducedChannels: d, poolSize: [rows, columns] }) => {
    const m = rows * columns;
    return c * d + 3 * d + 2 * m + (4 * m * m + 4 * m) + (4 * m * m + m);
  },
  macs: (
    { channels: c, reducedChannels: d, poolSize: [rows, columns] },
    { batch = 1, height = 1, width = 1 },
  ) => {
    const m = rows * columns;
    return batch * (c * d * height * width + d * m * m + 8 * m * m);
  },
  refused: [{ channels: 0 }, { reducedChannels: 0 }, { poolSize: [0, 8] }, { poolSize: [8] }],
  examples: [
    {
      options: { channels: 8, reducedChannels: 4, poolSize: [3, 2] },
      sizes: { batch: 2, height: 5, width: 6 },
    },
    {
      options: { channels: 6, reducedChannels: 6, poolSize: [2, 3] },
      sizes: { batch: 3, height: 4, width: 2 },
    },
  ],
  checkpoints: {
    "ZilinGao/Global-Second-order-Pooling-Convolutional-Networks": {
      conv_for_DR_spatial: "reduceConv",
      bn_for_DR_spatial: "reduceBn",
      row_bn_for_spatial: "rowBn",
      row_conv_group_for_spatial: "rowConv",
      fc_adapt_channels_for_spatial: "fc",
    },
  },
}) {
  readonly reduceConv: Conv2d;
  readonly reduceBn: BatchNorm;
  readonly rowBn: BatchNorm;
  readonly rowConv: RowConv;
  readonly fc: Conv2d;

  constructor(options: Options<typeof GSoPPosition>) {
    super(options);
    const { channels, reducedChannels, poolSize } = this.options;
    const positions = poolSize[0] * poolSize[1];
    this.reduceConv = fanOutConv({ inChannels: channels, outChannels: reducedChannels });
    this.reduceBn = new BatchNorm({ channels: reducedChannels });
    this.rowBn = new BatchNorm({ channels: positions });
    this.rowConv = new RowConv({ rows: positions });
    this.fc = fanOutConv({ inChannels: 4 * positions, outChannels: positions });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const { reducedChannels: d, poolSize } = this.options;
    const m = poolSize[0] * poolSize[1];
    const u = this.reduceBn.forward(this.reduceConv.forward(relu(x))); // [N, d, H, W]
    const p = reshape(adaptiveAveragePool2d(u, poolSize), { shape: [-1, d, m] });
    const rows = this.rowBn.forward(positionStatistics(p)); // [N, M, M], with statistics of each row
    const t = sigmoid(this.fc.forward(relu(this.rowConv.forward(rows)))); // [N, 4M, 1, 1] -> [N, M, 1, 1]
    const grid = reshape(t, { shape: [-1, 1, ...poolSize] });
    const s = adaptiveAveragePool2d(grid, [x.size(2), x.size(3)]); // [N, 1, H, W]
    return relu(mul(x, this.tap("attention", s)));
  }
}
