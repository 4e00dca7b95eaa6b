import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { Module } from "../../nn/module.js";
import { relu } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { softmax } from "../../ops/normalize.js";
import { mean } from "../../ops/reduce.js";
import { reshape, slice } from "../../ops/shape.js";
import { positionCount, positionNames, type SquareWindow } from "../conv-sizes.js";
import { roundToDivisor } from "../divisor.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, oddSize, optional, positive, size } from "../options.js";

interface SkOptions {
  readonly inChannels: number;
  readonly outChannels?: number | null | undefined;
  readonly kernelSizes: readonly number[];
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
  readonly reduction: number;
  readonly reductionDivisor: number;
  readonly reducedChannels?: number | null | undefined;
  readonly keep3x3: boolean;
  readonly splitInput: boolean;
}

function outputWidth({ inChannels, outChannels }: SkOptions): number {
  return outChannels ?? inChannels;
}

/** Channels that each branch sees. */
function branchWidth({ inChannels, kernelSizes, splitInput }: SkOptions): number {
  return splitInput ? inChannels / kernelSizes.length : inChannels;
}

function groupCount(options: SkOptions): number {
  return Math.min(options.groups, outputWidth(options));
}

/** Width d of the squeezed description; section 3.1, eq. 4, rounded as in timm. */
function hiddenWidth(options: SkOptions): number {
  const { reduction, reductionDivisor, reducedChannels } = options;
  return reducedChannels ?? roundToDivisor(outputWidth(options) / reduction, reductionDivisor, 0.9);
}

/** The window of each branch; all give results of one size. */
function windows(options: SkOptions): Required<SquareWindow>[] {
  const { kernelSizes, keep3x3, stride, dilation } = options;
  return kernelSizes.map((size) => {
    const window = keep3x3
      ? { kernel: 3, dilation: (dilation * (size - 1)) / 2 }
      : { kernel: size, dilation };
    const padding = Math.floor((stride - 1 + window.dilation * (window.kernel - 1)) / 2);
    return { ...window, stride, padding };
  });
}

/** Products of all branches at one position. */
function weightCount(options: SkOptions): number {
  const perKernel = (outputWidth(options) * branchWidth(options)) / groupCount(options);
  return windows(options).reduce((total, { kernel }) => total + perKernel * kernel ** 2, 0);
}

/** Softmax over branches for each channel, from the mean of their sum; eq. 2, 3 and 5. */
class BranchAttention extends Module {
  readonly fcReduce: Conv2d;
  readonly bn: BatchNorm;
  readonly fcSelect: Conv2d;
  readonly #branches: number;

  constructor({ channels, hidden, branches }: { channels: number; hidden: number; branches: number }) {
    super();
    this.fcReduce = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1, bias: false });
    this.bn = new BatchNorm({ channels: hidden });
    this.fcSelect = new Conv2d({
      inChannels: hidden,
      outChannels: branches * channels,
      kernel: 1,
      bias: false,
    });
    this.#branches = branches;
  }

  /** @param u [N, O, H, W]  @returns [N, M, O, 1, 1] */
  forward(u: Tensor): Tensor {
    const s = mean(u, { axes: [2, 3] }); // [N, O, 1, 1]
    const z = relu(this.bn.forward(this.fcReduce.forward(s))); // [N, d, 1, 1]
    const logits = reshape(this.fcSelect.forward(z), { shape: [-1, this.#branches, u.size(1), 1, 1] });
    return this.tap("attention", softmax(logits, { axis: 1 }));
  }
}

/**
 * Selective kernel convolution: branches with different kernels, weighted per channel by a softmax over the branches.
 * Li, Wang, Hu, Yang: Selective Kernel Networks, CVPR 2019, arXiv:1903.06586, eq. 1 to 6.
 * Deviations, as in timm: each branch sees its own slice of the channels (paper: all, `splitInput: false`), and the width of the
 * description is rounded to a divisor (paper: at least 32).
 */
export class SelectiveKernel extends mechanism({
  id: "sk",
  name: "Selective Kernel Convolution",
  family: "branch",
  year: 2019,
  paper: "Li, Wang, Hu, Yang: Selective Kernel Networks, CVPR 2019",
  arxiv: "1903.06586",
  formula: String.raw`\mathbf{y} = \sum_m \mathrm{softmax}_m\!\left(W_s\,\delta\,\mathrm{BN}\,W_r\,\mathrm{GAP}\textstyle\sum_j\mathbf{u}_j\right)\mathbf{u}_m,\quad \mathbf{u}_m = \delta\,\mathrm{BN}(K_m * \mathbf{x})`,
  options: z
    .strictObject({
      inChannels: size,
      outChannels: optional(size),
      kernelSizes: z._default(z.array(oddSize.check(z.gte(3))).check(z.minLength(1)), [3, 5]),
      stride: z._default(size, 1),
      dilation: z._default(size, 1),
      groups: z._default(size, 1),
      reduction: z._default(positive, 16),
      reductionDivisor: z._default(size, 8),
      reducedChannels: optional(size),
      keep3x3: flag(true),
      splitInput: flag(true),
    })
    .check(
      z.refine((o) => Number.isInteger(branchWidth(o)), {
        error: "splitInput needs a number of input channels that the number of kernels divides",
        path: ["inChannels"],
      }),
      z.refine((o) => branchWidth(o) % groupCount(o) === 0 && outputWidth(o) % groupCount(o) === 0, {
        error: "must divide the channels of a branch and outChannels",
        path: ["groups"],
      }),
    ),
  maps: (options) => ({
    attention: {
      kind: "branch",
      shape: ["batch", options.kernelSizes.length, outputWidth(options), 1, 1],
      range: [0, 1],
      sumsToOne: [1],
      tap: "attn.attention",
    },
  }),
  calls: (options) => ({
    forward: {
      inputs: { x: { shape: ["batch", options.inChannels, "height", "width"] } },
      outputs: { y: ["batch", outputWidth(options), ...positionNames(windows(options)[0]!)] },
    },
  }),
  parameters: (options) => {
    const [m, o, d] = [options.kernelSizes.length, outputWidth(options), hiddenWidth(options)];
    return weightCount(options) + 2 * m * o + o * d + 2 * d + m * o * d;
  },
  macs: (options, { batch = 1, ...sizes }) => {
    const [m, o, d] = [options.kernelSizes.length, outputWidth(options), hiddenWidth(options)];
    const positions = positionCount(sizes, windows(options)[0]!);
    return batch * (positions * weightCount(options) + o * d + m * o * d);
  },
  refused: [
    { inChannels: 0 },
    { outChannels: 0 },
    { inChannels: 7 },
    { kernelSizes: [] },
    { kernelSizes: [3, 4] },
    { kernelSizes: [1, 3] },
    { stride: 0 },
    { dilation: 0 },
    { groups: 3 },
    { reduction: 0 },
    { reductionDivisor: 0 },
    { reducedChannels: 0 },
  ],
  examples: [
    { options: { inChannels: 8 }, sizes: { batch: 4, height: 5, width: 7 } },
    {
      options: { inChannels: 6, outChannels: 4, stride: 2, groups: 2, splitInput: false, reducedChannels: 3 },
      sizes: { batch: 3, height: 5, width: 6, outHeight: 3, outWidth: 3 },
    },
    {
      options: { inChannels: 6, outChannels: 4, kernelSizes: [3, 5, 7], keep3x3: false },
      sizes: { batch: 3, height: 4, width: 4 },
    },
  ],
}) {
  readonly paths: readonly ConvNorm[];
  readonly attn: BranchAttention;

  constructor(options: Options<typeof SelectiveKernel>) {
    super(options);
    const channels = outputWidth(this.options);
    const shared = {
      inChannels: branchWidth(this.options),
      outChannels: channels,
      groups: groupCount(this.options),
    };
    this.paths = windows(this.options).map((window) => new ConvNorm({ ...shared, ...window }));
    this.attn = new BranchAttention({
      channels,
      hidden: hiddenWidth(this.options),
      branches: this.paths.length,
    });
  }

  /** @param x [N, inChannels, H, W]  @returns [N, O, H', W'] */
  forward(x: Tensor): Tensor {
    const branches = this.paths.map((path, m) => relu(path.forward(this.#branchInput(x, m)))); // [N, O, H', W'] each
    const attention = this.attn.forward(branches.reduce((total, u) => add(total, u))); // [N, M, O, 1, 1]  fuse, eq. 1
    return branches
      .map((u, m) => {
        const weights = slice(attention, { axes: [1], starts: [m], ends: [m + 1] }); // [N, 1, O, 1, 1]
        return mul(u, reshape(weights, { shape: [-1, u.size(1), 1, 1] }));
      })
      .reduce((total, u) => add(total, u)); // select, eq. 6
  }

  #branchInput(x: Tensor, branch: number): Tensor {
    if (!this.options.splitInput) return x;
    const width = branchWidth(this.options);
    return slice(x, { axes: [1], starts: [branch * width], ends: [(branch + 1) * width] });
  }
}
