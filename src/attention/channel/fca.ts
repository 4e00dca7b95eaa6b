import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Linear } from "../../nn/linear.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { mul } from "../../ops/arithmetic.js";
import { adaptiveAveragePool2d } from "../../ops/pool.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { leavesChannels, reducedWidth } from "../reduction.js";
import { fitsGrid, frequencyList, frequencySets, MultiSpectralDct } from "./dct.js";

const index = z.int().check(z.gte(0));

/**
 * Frequency channel attention: squeeze-and-excitation whose squeeze takes DCT coefficients, of which the mean is the lowest.
 * Qin, Zhang, Wu, Li: FcaNet: Frequency Channel Attention Networks, ICCV 2021, arXiv:2012.11879, section 3.
 * As in the reference code, the DCT is orthonormal (a mean comes out times sqrt(h w)), the input is pooled to the grid of the DCT
 * where its size differs, and the excitation has no biases.
 */
export class FCA extends mechanism({
  id: "fca",
  name: "Frequency Channel Attention",
  family: "channel",
  year: 2021,
  paper: "Qin, Zhang, Wu, Li: FcaNet: Frequency Channel Attention Networks, ICCV 2021",
  arxiv: "2012.11879",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(W_2\,\delta(W_1\,\mathbf{z})\right),\quad z_c = \mathrm{DCT}_{u_c, v_c}(\mathrm{pool}_{h \times w}(\mathbf{x})_c)`,
  options: z
    .strictObject({
      channels: size,
      dctHeight: z._default(size, 7),
      dctWidth: z._default(size, 7),
      reduction: z._default(size, 16),
      frequencies: z._default(
        z.union([z.enum(frequencySets), z.array(z.tuple([index, index])).check(z.minLength(1))]),
        "top16",
      ),
    })
    .check(
      leavesChannels,
      z.refine((o) => o.channels % frequencyList(o).length === 0, {
        error: "must be divisible by the number of frequencies",
        path: ["channels"],
      }),
      z.refine((o) => typeof o.frequencies !== "string" || fitsGrid(o.frequencies, o.dctHeight, o.dctWidth), {
        error: "a named set of several frequencies needs dctHeight and dctWidth >= 7",
        path: ["frequencies"],
      }),
      z.refine((o) => frequencyList(o).every(([u, v]) => u < o.dctHeight && v < o.dctWidth), {
        error: "each [u, v] must satisfy u < dctHeight and v < dctWidth",
        path: ["frequencies"],
      }),
    ),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] },
    spectrum: { kind: "channel-gate", shape: ["batch", channels, 1, 1] },
  }),
  parameters: (options) => 2 * options.channels * reducedWidth(options),
  macs: (options, { batch = 1 }) => {
    const { channels: c, dctHeight, dctWidth } = options;
    return batch * (c * dctHeight * dctWidth + 2 * c * reducedWidth(options));
  },
  refused: [
    { channels: 0 },
    { channels: 33 },
    { reduction: 0 },
    { reduction: 1000 },
    { dctHeight: 0 },
    { dctHeight: 6 },
    { dctWidth: 6 },
    { frequencies: "top3" },
    { frequencies: [] },
    { frequencies: [[0, 7]] },
    { frequencies: [[-1, 0]] },
    { frequencies: [[0.5, 0]] },
  ],
  examples: [
    { options: { channels: 32, reduction: 4 }, sizes: { batch: 2, height: 9, width: 8 } },
    {
      options: { channels: 8, dctHeight: 7, dctWidth: 14, reduction: 2, frequencies: "low4" },
      sizes: { batch: 2, height: 7, width: 14 },
    },
    {
      options: {
        channels: 6,
        dctHeight: 3,
        dctWidth: 2,
        reduction: 3,
        frequencies: [
          [0, 0],
          [2, 1],
        ],
      },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
  checkpoints: { "cfzd/FcaNet": { "fc.0": "fc1", "fc.2": "fc2" } },
}) {
  readonly dctLayer: MultiSpectralDct;
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(options: Options<typeof FCA>) {
    super(options);
    const { channels } = this.options;
    const hidden = reducedWidth(this.options);
    this.dctLayer = new MultiSpectralDct(this.options);
    this.fc1 = new Linear({ inFeatures: channels, outFeatures: hidden, bias: false });
    this.fc2 = new Linear({ inFeatures: hidden, outFeatures: channels, bias: false });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const { channels, dctHeight, dctWidth } = this.options;
    const onGrid = x.size(2) === dctHeight && x.size(3) === dctWidth;
    const p = onGrid ? x : adaptiveAveragePool2d(x, [dctHeight, dctWidth]); // [N, C, h, w]
    const spectrum = this.tap("spectrum", this.dctLayer.forward(p)); // [N, C, 1, 1]  squeeze
    const z = reshape(spectrum, { shape: [-1, channels] });
    const s = sigmoid(this.fc2.forward(relu(this.fc1.forward(z)))); // [N, C]  excitation
    return mul(x, this.tap("attention", reshape(s, { shape: [-1, channels, 1, 1] })));
  }
}
