import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { Module } from "../../nn/module.js";
import { sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { conv } from "../../ops/conv.js";
import { max, mean } from "../../ops/reduce.js";
import { reshape, stack, transpose } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, oddSize } from "../options.js";

/** A gate over two axes: Z-pool along the third, a convolution of its two planes, sigmoid. */
class AxisGate extends Module {
  readonly conv: ConvNorm;
  readonly #axis: number;
  readonly #padding: number;

  constructor({ axis, kernel }: { axis: 1 | 2 | 3; kernel: number }) {
    super();
    this.#padding = (kernel - 1) / 2;
    this.conv = new ConvNorm({
      inChannels: 2,
      outChannels: 1,
      kernel,
      padding: this.#padding,
      momentum: 0.01,
    });
    this.#axis = axis;
  }

  /** @param x [N, C, H, W]  @returns the gate, x's shape with size 1 on the pooled axis */
  forward(x: Tensor): Tensor {
    const pooled = { axes: [this.#axis], keepDims: false };
    const planes = stack([max(x, pooled), mean(x, pooled)], { axis: 1 }); // [N, 2, C, W], [N, 2, C, H] or [N, 2, H, W]
    // The planes of C and H have C along the width in the paper: turning the kernel is cheaper than turning them.
    const turned = (t: Tensor) => (this.#axis === 3 ? transpose(t, { perm: [0, 1, 3, 2] }) : t);
    const { conv: layer, bn } = this.conv;
    const filtered = conv(planes, turned(layer.weight), undefined, { padding: this.#padding });
    const gate = sigmoid(bn.forward(filtered));
    this.tap("attention", turned(gate)); // [N, 1, rows, columns]
    return reshape(gate, {
      shape: [-1, ...[1, 2, 3].map((axis) => (axis === this.#axis ? 1 : x.size(axis)))],
    });
  }
}

/**
 * Triplet attention: three gates, each over two of the axes C, H and W and pooled along the third, averaged.
 * Misra, Nalamada, Arasanipalai, Hou: Rotate to Attend, WACV 2021, arXiv:2010.03045, section 3.
 * As in the reference code batch normalization has momentum 0.01.
 */
export class TripletAttention extends mechanism({
  id: "triplet",
  name: "Triplet Attention",
  family: "channel-spatial",
  year: 2021,
  paper:
    "Misra, Nalamada, Arasanipalai, Hou: Rotate to Attend: Convolutional Triplet Attention Module, WACV 2021",
  arxiv: "2010.03045",
  formula: String.raw`\mathbf{y} = \tfrac{1}{3}\,\mathbf{x}\sum_{a \in \{C,H,W\}} \sigma\!\left(\mathrm{BN}\,f^{k\times k}[\max_a\mathbf{x};\,\mathrm{mean}_a\mathbf{x}]\right)`,
  options: z.strictObject({ kernelSize: z._default(oddSize, 7), spatialBranch: flag(true) }),
  maps: ({ spatialBranch }) => {
    const gate = (branch: string, rows: string, columns: string) =>
      ({
        kind: "spatial",
        shape: ["batch", 1, rows, columns],
        range: [0, 1],
        tap: `${branch}.attention`,
      }) as const;
    return {
      cw: gate("cw", "channels", "width"),
      hc: gate("hc", "height", "channels"),
      ...(spatialBranch ? { hw: gate("hw", "height", "width") } : {}),
    };
  },
  calls: () => {
    const image = ["batch", "channels", "height", "width"];
    return { forward: { inputs: { x: { shape: image } }, outputs: { y: image } } };
  },
  parameters: ({ kernelSize, spatialBranch }) => (spatialBranch ? 3 : 2) * (2 * kernelSize ** 2 + 2),
  macs: ({ kernelSize, spatialBranch }, { batch = 1, channels = 1, height = 1, width = 1 }) =>
    batch *
    2 *
    kernelSize ** 2 *
    (channels * width + height * channels + (spatialBranch ? height * width : 0)),
  refused: [{ kernelSize: 4 }, { kernelSize: 0 }, { spatialBranch: 1 }],
  examples: [
    { options: { kernelSize: 3 }, sizes: { batch: 2, channels: 6, height: 5, width: 7 } },
    { options: { spatialBranch: false }, sizes: { batch: 3, channels: 5, height: 4, width: 4 } },
  ],
}) {
  readonly cw: AxisGate;
  readonly hc: AxisGate;
  readonly hw?: AxisGate;

  constructor(options: Options<typeof TripletAttention>) {
    super(options);
    const { kernelSize: kernel, spatialBranch } = this.options;
    this.cw = new AxisGate({ axis: 2, kernel });
    this.hc = new AxisGate({ axis: 3, kernel });
    if (spatialBranch) this.hw = new AxisGate({ axis: 1, kernel });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const gates = [this.cw, this.hc, ...(this.hw ? [this.hw] : [])].map((gate) => gate.forward(x));
    // The mean of the gates; what is small is divided.
    const shares = gates.map((gate) => mul(gate, 1 / gates.length));
    return mul(
      x,
      shares.reduce((total, share) => add(total, share)),
    );
  }
}
