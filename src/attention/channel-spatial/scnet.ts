import * as z from "zod/mini";
import type { Model } from "../../graph/model.js";
import type { Tensor } from "../../graph/tensor.js";
import { positionNames } from "../conv-sizes.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, size } from "../options.js";
import {
  type BlockOptions,
  bottleneckOf,
  calibratedWidth,
  countMacs,
  countParameters,
  sharedWindow,
} from "./scnet-block.js";
import { outputWidth, SelfCalibratedBottleneck } from "./self-calibrated-bottleneck.js";
import { SelfCalibratedConv } from "./self-calibrated-conv.js";

/** Keys of the convolutions with batch normalization, which the reference numbers. */
function checkpointKeys(shortcut: { conv: number; bn: number }): Readonly<Record<string, string>> {
  const keys: Record<string, string> = { "k1.0": "k1.conv", "k1.1": "k1.bn" };
  for (const prefix of ["", "scconv."]) {
    for (const [name, first] of [
      ["k2", 1],
      ["k3", 0],
      ["k4", 0],
    ] as const) {
      keys[`${prefix}${name}.${first}`] = `${prefix}${name}.conv`;
      keys[`${prefix}${name}.${first + 1}`] = `${prefix}${name}.bn`;
    }
  }
  keys[`downsample.${shortcut.conv}`] = "downsample.conv";
  keys[`downsample.${shortcut.bn}`] = "downsample.bn";
  return keys;
}

/**
 * Self-calibrated convolutions: the input and a convolution of it at a lower resolution gate the result of a second convolution, before
 * a third. Alone (`block: "conv"`), or beside an ordinary convolution in a residual bottleneck (`block: "bottleneck"`).
 * Liu, Hou, Cheng, Wang, Feng: Improving Convolutional Networks with Self-Calibrated Convolutions, CVPR 2020, section 3.2.
 * As in the authors' code batch normalization follows every convolution, and enlargement takes the nearest pixel (paper: bilinear).
 */
export class SCNet extends mechanism({
  id: "scnet",
  name: "Self-Calibrated Convolutions",
  family: "channel-spatial",
  year: 2020,
  paper:
    "Liu, Hou, Cheng, Wang, Feng: Improving Convolutional Networks with Self-Calibrated Convolutions, CVPR 2020",
  formula: String.raw`\mathbf{y} = K_4 * \left[(K_3 * \mathbf{x})\,\sigma\!\left(\mathbf{x} + \mathrm{Up}(K_2 * \mathrm{AvgPool}_r\,\mathbf{x})\right)\right]`,
  options: z
    .strictObject({
      block: z._default(z.enum(["conv", "bottleneck"]), "conv"),
      channels: optional(size),
      inChannels: optional(size),
      planes: optional(size),
      stride: z._default(size, 1),
      dilation: z._default(size, 1),
      groups: z._default(size, 1),
      poolingRate: z._default(size, 4),
      bottleneckWidth: z._default(size, 32),
      avd: flag(false),
      isFirst: flag(false),
      avgDown: flag(false),
    })
    .check(
      z.refine((o) => (o.block === "conv") === (o.channels != null), {
        error: 'is needed for block "conv" and for no other',
        path: ["channels"],
      }),
      ...(["inChannels", "planes"] as const).map((name) =>
        z.refine<BlockOptions>((o) => (o.block === "bottleneck") === (o[name] != null), {
          error: 'is needed for block "bottleneck" and for no other',
          path: [name],
        }),
      ),
      ...(["avd", "isFirst", "avgDown"] as const).map((name) =>
        z.refine<BlockOptions>((o) => o.block === "bottleneck" || !o[name], {
          error: 'is for block "bottleneck" only',
          path: [name],
        }),
      ),
      z.refine((o) => o.channels == null || o.channels % o.groups === 0, {
        error: "must be divisible by groups",
        path: ["channels"],
      }),
      z.refine((o) => o.planes == null || Math.floor((o.planes * o.bottleneckWidth) / 64) >= 1, {
        error: "floor(planes * bottleneckWidth / 64) must be >= 1",
        path: ["planes"],
      }),
      z.refine((o) => !(o.avgDown && o.dilation > 1 && o.stride > 1), {
        error: "with dilation the shortcut is not pooled, so that the stride must be 1",
        path: ["avgDown"],
      }),
    ),
  maps: (options) => ({
    calibration: {
      kind: "spatial",
      shape: ["batch", calibratedWidth(options), "height", "width"],
      range: [0, 1],
      ...(options.block === "bottleneck" ? { tap: "scconv.calibration" } : {}),
    },
  }),
  calls: (options) => {
    const bottleneck = bottleneckOf(options);
    const inputs = bottleneck ? bottleneck.inChannels : options.channels!;
    const outputs = bottleneck ? outputWidth(bottleneck) : inputs;
    return {
      forward: {
        inputs: { x: { shape: ["batch", inputs, "height", "width"] } },
        outputs: { y: ["batch", outputs, ...positionNames(sharedWindow(options))] },
      },
    };
  },
  parameters: countParameters,
  macs: countMacs,
  refused: [
    { channels: 0 },
    { channels: null },
    { inChannels: 8 },
    { planes: 8 },
    { block: "resnet" },
    { block: "bottleneck" },
    { block: "bottleneck", channels: null, inChannels: 8, planes: 1 },
    { stride: 0 },
    { dilation: 0 },
    { groups: 3 },
    { poolingRate: 0 },
    { bottleneckWidth: 0 },
    { avd: true },
    { isFirst: true },
    { avgDown: true },
    {
      block: "bottleneck",
      channels: null,
      inChannels: 8,
      planes: 8,
      stride: 2,
      dilation: 2,
      avgDown: true,
    },
  ],
  examples: [
    { options: { channels: 4, groups: 2, poolingRate: 2 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 3, poolingRate: 3, stride: 2, dilation: 2 },
      sizes: { batch: 2, height: 7, width: 6, outHeight: 4, outWidth: 3 },
    },
    {
      options: { block: "bottleneck", inChannels: 16, planes: 4, poolingRate: 2 },
      sizes: { batch: 2, height: 5, width: 4 },
    },
    {
      options: {
        block: "bottleneck",
        inChannels: 6,
        planes: 4,
        stride: 2,
        poolingRate: 2,
        avd: true,
        avgDown: true,
      },
      sizes: { batch: 2, height: 5, width: 6, outHeight: 3, outWidth: 3 },
    },
  ],
  checkpoints: {
    "MCG-NKU/SCNet": checkpointKeys({ conv: 0, bn: 1 }),
    "MCG-NKU/SCNet v1d": checkpointKeys({ conv: 1, bn: 2 }),
  },
}) {
  readonly #block: SelfCalibratedConv | SelfCalibratedBottleneck;

  constructor(options: Options<typeof SCNet>) {
    super(options);
    const bottleneck = bottleneckOf(this.options);
    this.#block = bottleneck
      ? new SelfCalibratedBottleneck(bottleneck)
      : new SelfCalibratedConv({ ...this.options, channels: calibratedWidth(this.options) });
  }

  /** The parts of the block are its own. */
  override *ownParts(): Generator<readonly [string, Model]> {
    yield* this.#block.ownParts();
  }

  /** @param x [N, C, H, W]  @returns [N, C, H', W'], H' = ceil(H / stride); for the bottleneck 4 planes channels */
  forward(x: Tensor): Tensor {
    return this.#block.forward(x);
  }
}
