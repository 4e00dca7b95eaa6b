import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { constantValue, parameter } from "../../nn/variables.js";
import { add, mul } from "../../ops/arithmetic.js";
import { softmax } from "../../ops/normalize.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { flattenPositions, innerProducts, unflattenPositions, weightedSums } from "../positions.js";
import { leavesChannels, reducedWidth } from "../reduction.js";

/**
 * Position attention module: every pixel attends to every pixel.
 * Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation, CVPR 2019, arXiv:1809.02983, section 3.2. Products
 * are not scaled; the weights are normalized over the keys, and what is gathered enters by a factor that starts at 0.
 */
export class DANetPosition extends mechanism({
  id: "danet-position",
  name: "Position Attention Module",
  family: "spatial",
  year: 2019,
  paper: "Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation, CVPR 2019",
  arxiv: "1809.02983",
  formula: String.raw`\mathbf{y}_i = \gamma \sum_j \mathrm{softmax}_j(\mathbf{q}_i^\top \mathbf{k}_j)\,\mathbf{v}_j + \mathbf{x}_i`,
  options: z.strictObject({ channels: size, reduction: z._default(size, 8) }).check(leavesChannels),
  maps: () => ({
    attention: {
      kind: "tokens",
      shape: ["batch", "height*width", "height*width"],
      range: [0, 1],
      sumsToOne: [2],
    },
  }),
  parameters: (options) => {
    const [c, q] = [options.channels, reducedWidth(options)];
    return 2 * (c * q + q) + c * c + c + 1;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const [c, q] = [options.channels, reducedWidth(options)];
    const pixels = height * width;
    return batch * (pixels * (2 * c * q + c * c) + pixels * pixels * (q + c));
  },
  refused: [{ channels: 0 }, { reduction: 0 }, { reduction: 1000 }],
  examples: [
    { options: { channels: 16 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 6, reduction: 2 }, sizes: { batch: 3, height: 4, width: 4 } },
  ],
}) {
  readonly queryConv: Conv2d;
  readonly keyConv: Conv2d;
  readonly valueConv: Conv2d;
  readonly gamma: Variable;

  constructor(options: Options<typeof DANetPosition>) {
    super(options);
    const { channels } = this.options;
    const width = reducedWidth(this.options);
    this.queryConv = new Conv2d({ inChannels: channels, outChannels: width, kernel: 1 });
    this.keyConv = new Conv2d({ inChannels: channels, outChannels: width, kernel: 1 });
    this.valueConv = new Conv2d({ inChannels: channels, outChannels: channels, kernel: 1 });
    this.gamma = parameter([1], constantValue(0));
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const query = flattenPositions(this.queryConv.forward(x)); // [N, Q, P]
    const key = flattenPositions(this.keyConv.forward(x)); // [N, Q, P]
    const value = flattenPositions(this.valueConv.forward(x)); // [N, C, P]
    const attention = this.tap("attention", softmax(innerProducts(query, key), { axis: 2 })); // [N, P, P]
    const gathered = unflattenPositions(weightedSums(attention, value), { like: x }); // [N, C, H, W]
    return add(mul(gathered, this.gamma), x);
  }
}
