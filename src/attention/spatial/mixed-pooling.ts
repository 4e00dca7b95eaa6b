import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { relu } from "../../ops/activation.js";
import { add } from "../../ops/arithmetic.js";
import { adaptiveAveragePool2d } from "../../ops/pool.js";
import { mean } from "../../ops/reduce.js";
import { interpolate } from "../../ops/resize.js";
import { concat } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";

/** Width m of the branches. */
function branchWidth(channels: number): number {
  return Math.floor(channels / 4);
}

/**
 * Mixed Pooling Module: context from an average-pooling pyramid and from row and column means, added to the input.
 * Hou, Zhang, Cheng, Feng: Strip Pooling, CVPR 2020, arXiv:2003.13328, section on the mixed pooling module.
 * As in the authors' code (class StripPooling), pooled maps grow back with aligned corners and the sum passes a last ReLU. It adds
 * context and does not gate, so it has no attention map.
 */
export class MixedPooling extends mechanism({
  id: "mixed-pooling",
  name: "Mixed Pooling Module",
  family: "spatial",
  year: 2020,
  paper: "Hou, Zhang, Cheng, Feng: Strip Pooling: Rethinking Spatial Pooling for Scene Parsing, CVPR 2020",
  arxiv: "2003.13328",
  formula: String.raw`\mathbf{y} = \delta\!\left(\mathbf{x} + f\big[\delta f\,\delta\textstyle\sum_p \uparrow\! f(\mathrm{AAP}_p\,\mathbf{u});\ \delta f\,\delta(f(\mathrm{mean}_h\mathbf{v}) + f(\mathrm{mean}_w\mathbf{v}))\big]\right)`,
  options: z.strictObject({
    channels: z.int().check(z.gte(4)),
    poolSizes: z._default(z.tuple([size, size]), [20, 12]),
  }),
  maps: () => ({}),
  parameters: ({ channels: c }) => {
    const m = branchWidth(c);
    return 4 * c * m + 51 * m * m + 18 * m + 2 * c;
  },
  macs: ({ channels: c, poolSizes }, { batch = 1, height = 1, width = 1 }) => {
    const m = branchWidth(c);
    const pooled = 9 * poolSizes.reduce((total, p) => total + p * p, 0) + 3 * (height + width);
    return batch * (height * width * (4 * c * m + 27 * m * m) + m * m * pooled);
  },
  refused: [{ channels: 3 }, { poolSizes: [0, 3] }, { poolSizes: [4] }, { poolSizes: [2, 2.5] }],
  examples: [
    { options: { channels: 8, poolSizes: [3, 2] }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 6, poolSizes: [1, 5] }, sizes: { batch: 3, height: 4, width: 3 } },
  ],
  checkpoints: {
    "houqb/SPNet": {
      "conv1_1.0": "pyramidIn.conv",
      "conv1_1.1": "pyramidIn.bn",
      "conv1_2.0": "stripIn.conv",
      "conv1_2.1": "stripIn.bn",
      "conv2_0.0": "pyramid.0.conv",
      "conv2_0.1": "pyramid.0.bn",
      "conv2_1.0": "pyramid.1.conv",
      "conv2_1.1": "pyramid.1.bn",
      "conv2_2.0": "pyramid.2.conv",
      "conv2_2.1": "pyramid.2.bn",
      "conv2_3.0": "row.conv",
      "conv2_3.1": "row.bn",
      "conv2_4.0": "column.conv",
      "conv2_4.1": "column.bn",
      "conv2_5.0": "pyramidOut.conv",
      "conv2_5.1": "pyramidOut.bn",
      "conv2_6.0": "stripOut.conv",
      "conv2_6.1": "stripOut.bn",
      "conv3.0": "fuse.conv",
      "conv3.1": "fuse.bn",
    },
  },
}) {
  readonly pyramidIn: ConvNorm;
  readonly stripIn: ConvNorm;
  /** At full size, then at each pooled size. */
  readonly pyramid: readonly [ConvNorm, ConvNorm, ConvNorm];
  readonly row: ConvNorm;
  readonly column: ConvNorm;
  readonly pyramidOut: ConvNorm;
  readonly stripOut: ConvNorm;
  readonly fuse: ConvNorm;

  constructor(options: Options<typeof MixedPooling>) {
    super(options);
    const { channels } = this.options;
    const m = branchWidth(channels);
    const square = () => new ConvNorm({ inChannels: m, outChannels: m, kernel: 3, padding: 1 });
    this.pyramidIn = new ConvNorm({ inChannels: channels, outChannels: m, kernel: 1 });
    this.stripIn = new ConvNorm({ inChannels: channels, outChannels: m, kernel: 1 });
    this.pyramid = [square(), square(), square()];
    this.row = new ConvNorm({ inChannels: m, outChannels: m, kernel: [1, 3], padding: [0, 1] });
    this.column = new ConvNorm({ inChannels: m, outChannels: m, kernel: [3, 1], padding: [1, 0] });
    this.pyramidOut = square();
    this.stripOut = square();
    this.fuse = new ConvNorm({ inChannels: 2 * m, outChannels: channels, kernel: 1 });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const context = concat([this.#pyramid(x), this.#strips(x)], { axis: 1 }); // [N, 2m, H, W]
    return relu(add(x, this.fuse.forward(context)));
  }

  /** Short-range context: averages over the cells of two grids. */
  #pyramid(x: Tensor): Tensor {
    const target = [x.size(2), x.size(3)];
    const u = relu(this.pyramidIn.forward(x)); // [N, m, H, W]
    const [full, ...pooled] = this.pyramid;
    const grids = this.options.poolSizes.map((p, index) => {
      const grid = pooled[index]!.forward(adaptiveAveragePool2d(u, [p, p])); // [N, m, p, p]
      return interpolate(grid, { size: target, mode: "linear", alignCorners: true });
    });
    return relu(
      this.pyramidOut.forward(relu(grids.reduce((total, grid) => add(total, grid), full.forward(u)))),
    );
  }

  /** Long-range context: means over whole columns and rows. */
  #strips(x: Tensor): Tensor {
    const v = relu(this.stripIn.forward(x)); // [N, m, H, W]
    const row = this.row.forward(mean(v, { axes: [2] })); // [N, m, 1, W]
    const column = this.column.forward(mean(v, { axes: [3] })); // [N, m, H, 1]
    return relu(this.stripOut.forward(relu(add(row, column))));
  }
}
