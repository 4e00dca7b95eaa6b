import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { add } from "../../ops/arithmetic.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, size } from "../options.js";
import { leavesChannels } from "../reduction.js";
import { DANetChannel } from "./danet-channel.js";
import { DANetPosition } from "./danet-position.js";

/**
 * Dual attention: position and channel attention side by side, summed.
 * Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation, CVPR 2019, arXiv:1809.02983, section 3. Without the
 * convolutions around the two in the network's head. Each keeps its own residual: at first the result is twice the input.
 */
export class DualAttention extends mechanism({
  id: "danet",
  name: "Dual Attention",
  family: "spatial",
  year: 2019,
  paper: "Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation, CVPR 2019",
  arxiv: "1809.02983",
  formula: String.raw`\mathbf{y} = \left(\gamma_p\,V\,\mathrm{softmax}(Q^\top K)^\top + X\right) + \left(\gamma_c\,\mathrm{softmax}(-X X^\top)\,X + X\right)`,
  options: z
    .strictObject({ channels: size, reduction: z._default(size, 8), invertEnergy: flag(true) })
    .check(leavesChannels),
  maps: (options) => ({
    positionAttention: { ...DANetPosition.about.maps(options).attention!, tap: "position.attention" },
    channelAttention: { ...DANetChannel.about.maps(options).attention!, tap: "channel.attention" },
  }),
  parameters: (options) => DANetPosition.about.parameters(options) + DANetChannel.about.parameters(options),
  macs: (options, sizes) =>
    DANetPosition.about.macs(options, sizes) + DANetChannel.about.macs(options, sizes),
  refused: [{ channels: 0 }, { reduction: 0 }, { reduction: 1000 }],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 2, height: 4, width: 5 } },
    {
      options: { channels: 6, reduction: 2, invertEnergy: false },
      sizes: { batch: 3, height: 2, width: 3 },
    },
  ],
  checkpoints: { "junfu1115/DANet": { "head.sa": "position", "head.sc": "channel" } },
}) {
  readonly position: DANetPosition;
  readonly channel: DANetChannel;

  constructor(options: Options<typeof DualAttention>) {
    super(options);
    const { channels, reduction, invertEnergy } = this.options;
    this.position = new DANetPosition({ channels, reduction });
    this.channel = new DANetChannel({ channels, invertEnergy });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    return add(this.position.forward(x), this.channel.forward(x));
  }
}
