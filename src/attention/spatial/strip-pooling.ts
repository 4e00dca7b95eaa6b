import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";

/**
 * Strip Pooling Module: a gate for every element from the means of its row and of its column.
 * Hou, Zhang, Cheng, Feng: Strip Pooling, CVPR 2020, arXiv:2003.13328, section on the strip pooling module.
 * As in the authors' code, each strip is normalized before it is stretched over the image, and the last convolution has a bias.
 */
export class StripPooling extends mechanism({
  id: "strip-pooling",
  name: "Strip Pooling Module",
  family: "spatial",
  year: 2020,
  paper: "Hou, Zhang, Cheng, Feng: Strip Pooling: Rethinking Spatial Pooling for Scene Parsing, CVPR 2020",
  arxiv: "2003.13328",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(W\,\delta\big(f^{3\times1}(\mathrm{mean}_w\mathbf{x}) + f^{1\times3}(\mathrm{mean}_h\mathbf{x})\big)\right)`,
  options: z.strictObject({ channels: size }),
  maps: ({ channels }) => ({
    attention: { kind: "spatial", shape: ["batch", channels, "height", "width"], range: [0, 1] },
  }),
  parameters: ({ channels: c }) => 7 * c * c + 5 * c,
  macs: ({ channels: c }, { batch = 1, height = 1, width = 1 }) =>
    batch * c * c * (3 * (height + width) + height * width),
  refused: [{ channels: 0 }, { channels: 1.5 }],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 3, height: 5, width: 7 } },
    { options: { channels: 3 }, sizes: { batch: 2, height: 1, width: 4 } },
  ],
  checkpoints: {
    "houqb/SPNet": {
      conv1: "column.conv",
      bn1: "column.bn",
      conv2: "row.conv",
      bn2: "row.bn",
      conv3: "fuse",
    },
  },
}) {
  readonly column: ConvNorm;
  readonly row: ConvNorm;
  readonly fuse: Conv2d;

  constructor(options: Options<typeof StripPooling>) {
    super(options);
    const { channels } = this.options;
    const widths = { inChannels: channels, outChannels: channels };
    this.column = new ConvNorm({ ...widths, kernel: [3, 1], padding: [1, 0] });
    this.row = new ConvNorm({ ...widths, kernel: [1, 3], padding: [0, 1] });
    this.fuse = new Conv2d({ ...widths, kernel: 1 });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const column = this.column.forward(mean(x, { axes: [3] })); // [N, C, H, 1]
    const row = this.row.forward(mean(x, { axes: [2] })); // [N, C, 1, W]
    const u = relu(add(column, row)); // [N, C, H, W]
    return mul(x, this.tap("attention", sigmoid(this.fuse.forward(u))));
  }
}
