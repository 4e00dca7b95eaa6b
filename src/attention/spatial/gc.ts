import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Initializer } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { LayerNorm } from "../../nn/layer-norm.js";
import { Module } from "../../nn/module.js";
import { constantValue, defaultInitializer, kaimingNormal } from "../../nn/variables.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { mean } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { trailingAxes } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";
import { pooledContext, softmaxOverPositions } from "../positions.js";
import { roundedWidth } from "../reduction.js";

/** Transform of the context: a bottleneck of two convolutions with layer normalization between them. */
class ContextTransform extends Module {
  readonly fc1: Conv2d;
  readonly norm: LayerNorm;
  readonly fc2: Conv2d;

  constructor(options: { channels: number; hidden: number; epsilon: number; last?: Initializer }) {
    super();
    const { channels, hidden, epsilon, last = defaultInitializer(hidden) } = options;
    this.fc1 = new Conv2d({ inChannels: channels, outChannels: hidden, kernel: 1 });
    this.norm = new LayerNorm({ size: hidden, epsilon });
    this.fc2 = new Conv2d({
      inChannels: hidden,
      outChannels: channels,
      kernel: 1,
      initializer: last,
      biasInitializer: defaultInitializer(hidden),
    });
  }

  /** @param context [N, C, 1, 1]  @returns [N, C, 1, 1] */
  forward(context: Tensor): Tensor {
    const hidden = this.fc1.forward(context); // [N, R, 1, 1]
    const normalized = this.norm.forward(reshape(hidden, { shape: [-1, hidden.size(1)] })); // [N, R]
    return this.fc2.forward(relu(reshape(normalized, { shape: [-1, hidden.size(1), 1, 1] })));
  }
}

/**
 * Global context block: one attention map for the whole image pools it into a context, which scales the channels, is added to every
 * pixel, or both, scaling first.
 * Cao, Xu, Lin, Wei, Hu: GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, ICCVW 2019, arXiv:1904.11492.
 * Defaults are those of timm (scaling); the paper's block adds: `fuseScale: false, fuseAdd: true`. As in timm the reduced channels
 * are rounded half up, and what is added starts from a zero weight. One reduced channel normalizes to a constant: then nothing of the
 * context passes.
 */
export class GlobalContext extends mechanism({
  id: "gc",
  name: "Global Context Block",
  family: "spatial",
  year: 2019,
  paper:
    "Cao, Xu, Lin, Wei, Hu: GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, ICCVW 2019",
  arxiv: "1904.11492",
  formula: String.raw`\mathbf{y}_i = \mathbf{x}_i + W_{v2}\,\mathrm{ReLU}\!\left(\mathrm{LN}\!\left(W_{v1} \sum_j \mathrm{softmax}_j(W_k \mathbf{x}_j)\,\mathbf{x}_j\right)\right)`,
  options: z
    .strictObject({
      channels: size,
      reduction: z._default(positive, 8),
      reducedChannels: optional(size),
      useAttention: flag(true),
      fuseScale: flag(true),
      fuseAdd: flag(false),
      normEps: z._default(positive, 1e-6),
    })
    .check(
      z.refine((o) => o.fuseScale || o.fuseAdd, {
        error: "one of fuseScale and fuseAdd must be true",
        path: ["fuseScale"],
      }),
    ),
  maps: ({ channels, useAttention, fuseScale }) => ({
    ...(useAttention
      ? {
          attention: {
            kind: "spatial",
            shape: ["batch", 1, "height", "width"],
            range: [0, 1],
            sumsToOne: [2, 3],
          },
        }
      : {}),
    ...(fuseScale ? { gate: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] } } : {}),
  }),
  parameters: (options) => {
    const [c, r] = [options.channels, roundedWidth(options)];
    const branches = Number(options.fuseScale) + Number(options.fuseAdd);
    return (options.useAttention ? c + 1 : 0) + branches * (2 * c * r + 3 * r + c);
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const [c, r] = [options.channels, roundedWidth(options)];
    const branches = Number(options.fuseScale) + Number(options.fuseAdd);
    const pooling = options.useAttention ? 2 * height * width * c : 0;
    return batch * (pooling + branches * 2 * c * r);
  },
  refused: [
    { channels: 0 },
    { reduction: 0 },
    { reducedChannels: 0 },
    { normEps: 0 },
    { fuseScale: false },
    { fuseScale: false, fuseAdd: false },
  ],
  examples: [
    { options: { channels: 16, reduction: 4 }, sizes: { batch: 2, height: 5, width: 7 } },
    {
      options: { channels: 8, reducedChannels: 3, fuseAdd: true },
      sizes: { batch: 2, height: 4, width: 4 },
    },
    {
      options: { channels: 6, reduction: 2, useAttention: false, fuseScale: false, fuseAdd: true },
      sizes: { batch: 3, height: 3, width: 4 },
    },
  ],
  checkpoints: {
    "xvjiarui/GCNet": {
      conv_mask: "convAttn",
      "channel_add_conv.0": "mlpAdd.fc1",
      "channel_add_conv.1.weight": trailingAxes(2, "mlpAdd.norm.weight"),
      "channel_add_conv.1.bias": trailingAxes(2, "mlpAdd.norm.bias"),
      "channel_add_conv.3": "mlpAdd.fc2",
      "channel_mul_conv.0": "mlpScale.fc1",
      "channel_mul_conv.1.weight": trailingAxes(2, "mlpScale.norm.weight"),
      "channel_mul_conv.1.bias": trailingAxes(2, "mlpScale.norm.bias"),
      "channel_mul_conv.3": "mlpScale.fc2",
    },
  },
}) {
  readonly convAttn?: Conv2d;
  readonly mlpScale?: ContextTransform;
  readonly mlpAdd?: ContextTransform;

  constructor(options: Options<typeof GlobalContext>) {
    super(options);
    const { channels, useAttention, fuseScale, fuseAdd, normEps } = this.options;
    const transform = { channels, hidden: roundedWidth(this.options), epsilon: normEps };
    if (useAttention) {
      this.convAttn = new Conv2d({
        inChannels: channels,
        outChannels: 1,
        kernel: 1,
        initializer: kaimingNormal(channels),
        biasInitializer: defaultInitializer(channels),
      });
    }
    if (fuseScale) this.mlpScale = new ContextTransform(transform);
    if (fuseAdd) this.mlpAdd = new ContextTransform({ ...transform, last: constantValue(0) });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const context = this.#context(x); // [N, C, 1, 1]
    let y = x;
    if (this.mlpScale) y = mul(y, this.tap("gate", sigmoid(this.mlpScale.forward(context))));
    if (this.mlpAdd) y = add(y, this.mlpAdd.forward(context));
    return y;
  }

  /** Mean of all pixels, weighted by attention: [N, C, H, W] -> [N, C, 1, 1]. */
  #context(x: Tensor): Tensor {
    if (!this.convAttn) return mean(x, { axes: [2, 3] });
    return pooledContext(x, this.tap("attention", softmaxOverPositions(this.convAttn.forward(x))));
  }
}
