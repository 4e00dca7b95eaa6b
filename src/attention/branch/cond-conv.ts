import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Linear } from "../../nn/linear.js";
import { defaultInitializer, parameter } from "../../nn/variables.js";
import { sigmoid } from "../../ops/activation.js";
import { mean } from "../../ops/reduce.js";
import type { PerAxis } from "../../ops/window.js";
import {
  type ExpertConv,
  expertConv,
  expertConvMacs,
  expertConvOptions,
  groupsDivide,
  kernelCount,
} from "../expert-conv.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag } from "../options.js";

type Padding = "auto" | "same" | "valid" | number;

/** Padding of TensorFlow's "same" along one axis: ceil(length / stride) positions, the odd element at the end. */
function samePadding(
  length: number,
  { kernelSize, stride, dilation }: ExpertConv,
): [begin: number, end: number] {
  const reach = (Math.ceil(length / stride) - 1) * stride + dilation * (kernelSize - 1) + 1;
  const total = Math.max(reach - length, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** Rows above, columns before, rows below, columns after. */
function paddingFor(
  options: ExpertConv & { readonly padding: Padding },
  [height, width]: readonly [number, number],
): PerAxis {
  const { padding, stride, dilation, kernelSize } = options;
  if (padding === "valid") return 0;
  if (padding === "auto") return Math.floor((stride - 1 + dilation * (kernelSize - 1)) / 2);
  if (padding !== "same") return padding;
  const [rows, columns] = [samePadding(height, options), samePadding(width, options)];
  return [rows[0], columns[0], rows[1], columns[1]];
}

/**
 * Conditionally parameterized convolution: each sample is convolved with its own weighted sum of K expert kernels.
 * Yang, Bender, Le, Ngiam: CondConv, NeurIPS 2019, arXiv:1904.04971, section 3.
 * Layout as in timm: kernels are stored flat; there a block owns the routing and shares it between its convolutions, which is
 * `routing: "external"` here.
 */
export class CondConv extends mechanism({
  id: "cond-conv",
  name: "Conditionally Parameterized Convolution",
  family: "branch",
  year: 2019,
  paper:
    "Yang, Bender, Le, Ngiam: CondConv: Conditionally Parameterized Convolutions for Efficient Inference, NeurIPS 2019",
  arxiv: "1904.04971",
  formula: String.raw`\mathbf{y}_n = \Big(\sum_{e=1}^{K} r_{n,e} W_e\Big) * \mathbf{x}_n,\quad \mathbf{r} = \sigma(W_r\,\mathrm{GAP}(\mathbf{x}) + \mathbf{b}_r)`,
  options: z
    .strictObject({
      ...expertConvOptions,
      padding: z._default(z.union([z.enum(["auto", "same", "valid"]), z.int().check(z.gte(0))]), "auto"),
      bias: flag(false),
      routing: z._default(z.enum(["internal", "external"]), "internal"),
    })
    .check(groupsDivide("channels"), groupsDivide("outChannels")),
  maps: ({ experts, routing }) => ({
    routing: {
      kind: "branch",
      shape: ["batch", experts],
      ...(routing === "internal" ? { range: [0, 1] } : {}),
    },
  }),
  calls: ({ channels, outChannels, experts, routing }) => ({
    forward: {
      inputs: {
        x: { shape: ["batch", channels, "height", "width"] },
        ...(routing === "external" ? { routing: { shape: ["batch", experts] } } : {}),
      },
      outputs: { y: ["batch", outChannels, "newHeight", "newWidth"] },
    },
  }),
  parameters: (options) => {
    const { channels, outChannels, experts, bias, routing } = options;
    const routed = routing === "internal" ? experts * (channels + 1) : 0;
    return experts * (kernelCount(options) + (bias ? outChannels : 0)) + routed;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels, experts, routing } = options;
    const convolved = expertConvMacs(options, paddingFor(options, [height, width]), [height, width]);
    return batch * ((routing === "internal" ? experts * channels : 0) + convolved);
  },
  refused: [
    { channels: 0 },
    { outChannels: 0 },
    { kernelSize: 0 },
    { stride: 0 },
    { dilation: 0 },
    { groups: 0 },
    { channels: 6, groups: 4 },
    { outChannels: 6, groups: 4 },
    { experts: 0 },
    { padding: -1 },
    { padding: "full" },
    { routing: "shared" },
  ],
  examples: [
    {
      options: { channels: 8, outChannels: 12 },
      sizes: { batch: 2, height: 5, width: 6, newHeight: 5, newWidth: 6 },
    },
    {
      options: {
        channels: 8,
        outChannels: 12,
        groups: 4,
        stride: 2,
        bias: true,
        experts: 3,
        routing: "external",
      },
      sizes: { batch: 3, height: 6, width: 5, newHeight: 3, newWidth: 3 },
    },
    {
      options: {
        channels: 4,
        outChannels: 4,
        groups: 4,
        kernelSize: 5,
        stride: 2,
        padding: "same",
        bias: true,
      },
      sizes: { batch: 2, height: 6, width: 5, newHeight: 3, newWidth: 3 },
    },
  ],
}) {
  readonly weight: Variable;
  readonly bias?: Variable;
  readonly routingFn?: Linear;

  constructor(options: Options<typeof CondConv>) {
    super(options);
    const { channels, outChannels, experts, bias, routing } = this.options;
    const count = kernelCount(this.options);
    const initial = defaultInitializer(count / outChannels);
    this.weight = parameter([experts, count], initial);
    if (bias) this.bias = parameter([experts, outChannels], initial);
    if (routing === "internal") this.routingFn = new Linear({ inFeatures: channels, outFeatures: experts });
  }

  /** @param input x [N, Ci, H, W], or with external routing { x, routing [N, K] }  @returns [N, Co, H', W'] */
  forward(input: Tensor | { x: Tensor; routing: Tensor }): Tensor {
    const { x, routing } = "routing" in input ? input : { x: input, routing: this.#route(input) };
    const mixture = this.tap("routing", routing); // [N, K]
    const padding = paddingFor(this.options, [x.size(2), x.size(3)]);
    return expertConv(x, { mixture, weight: this.weight, bias: this.bias }, this.options, padding);
  }

  #route(x: Tensor): Tensor {
    return sigmoid(this.routingFn!.forward(mean(x, { axes: [2, 3], keepDims: false })));
  }
}
