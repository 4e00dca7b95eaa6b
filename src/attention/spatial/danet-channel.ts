import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { constantValue, parameter } from "../../nn/variables.js";
import { add, mul, neg } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, size } from "../options.js";
import { flattenPositions, unflattenPositions } from "../positions.js";

/**
 * Channel attention module: every channel attends to every channel, by inner products over all pixels and without projections.
 * Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation, CVPR 2019, arXiv:1809.02983, section 3.3. The
 * official code subtracts the products from the largest of their row, so that unlike channels attend to each other most;
 * `invertEnergy: false` is the paper's sign. Products grow with the number of pixels and soon make weights of 0 and 1.
 */
export class DANetChannel extends mechanism({
  id: "danet-channel",
  name: "Channel Attention Module",
  family: "spatial",
  year: 2019,
  paper: "Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation, CVPR 2019",
  arxiv: "1809.02983",
  formula: String.raw`\mathbf{y}_i = \gamma \sum_j \mathrm{softmax}_j(-\mathbf{x}_i^\top \mathbf{x}_j)\,\mathbf{x}_j + \mathbf{x}_i`,
  options: z.strictObject({ channels: size, invertEnergy: flag(true) }),
  maps: ({ channels }) => ({
    attention: { kind: "tokens", shape: ["batch", channels, channels], range: [0, 1], sumsToOne: [2] },
  }),
  parameters: () => 1,
  macs: ({ channels }, { batch = 1, height = 1, width = 1 }) => batch * 2 * height * width * channels ** 2,
  refused: [{ channels: 0 }],
  examples: [
    { options: { channels: 6 }, sizes: { batch: 2, height: 3, width: 4 } },
    { options: { channels: 4, invertEnergy: false }, sizes: { batch: 3, height: 2, width: 3 } },
  ],
}) {
  readonly gamma: Variable;

  constructor(options: Options<typeof DANetChannel>) {
    super(options);
    this.gamma = parameter([1], constantValue(0));
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const features = flattenPositions(x); // [N, C, P]
    const energy = matmul(features, swapLast(features)); // [N, C, C]
    const scores = this.options.invertEnergy ? neg(energy) : energy;
    const attention = this.tap("attention", softmax(scores, { axis: 2 }));
    const gathered = unflattenPositions(matmul(attention, features), { like: x }); // [N, C, H, W]
    return add(mul(gathered, this.gamma), x);
  }
}
