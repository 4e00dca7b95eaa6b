import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { Module } from "../../nn/module.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul, reciprocal, sqrt, sub } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { maxPool } from "../../ops/pool.js";
import { mean, sum } from "../../ops/reduce.js";
import { interpolate } from "../../ops/resize.js";
import { reshape } from "../../ops/shape.js";
import { type AttentionMap, mechanism, type Options } from "../mechanism.js";
import { positive, size } from "../options.js";
import { flattenPositions, unflattenPositions } from "../positions.js";

interface LevelOptions {
  readonly channels: number;
  readonly nodeChannels: number;
  readonly eps: number;
}

/**
 * Graph reasoning over the P pixels of one resolution, Y = relu(W X (I - S)), S = D^-1/2 A D^-1/2, A = F^T diag(l) F. The P x P
 * affinity S is made for its map alone: it is a product of narrow matrices, with which X is multiplied one after the other.
 */
class GraphLevel extends Module {
  readonly phiConv: Conv2d;
  readonly attentionConv: Conv2d;
  readonly graphConv: Conv2d;
  readonly #eps: number;

  constructor({ channels, nodeChannels, eps }: LevelOptions) {
    super();
    this.phiConv = new Conv2d({ inChannels: channels, outChannels: nodeChannels, kernel: 1 });
    this.attentionConv = new Conv2d({ inChannels: channels, outChannels: nodeChannels, kernel: 1 });
    this.graphConv = new Conv2d({ inChannels: channels, outChannels: channels, kernel: 1, bias: false });
    this.#eps = eps;
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const f = flattenPositions(relu(this.phiConv.forward(x))); // [N, M, P]
    const l = flattenPositions(sigmoid(this.attentionConv.forward(mean(x, { axes: [2, 3] })))); // [N, M, 1]
    this.tap("channelAttention", reshape(l, { shape: [-1, f.size(1)] }));
    const degrees = matmul(swapLast(mul(l, sum(f, { axes: [2] }))), f); // [N, 1, P]
    const scaled = mul(f, reciprocal(sqrt(add(degrees, this.#eps)))); // F D^-1/2, [N, M, P]
    const weighted = mul(l, scaled); // [N, M, P]
    this.tap("affinity", matmul(swapLast(scaled), weighted)); // S, [N, P, P]
    const pixels = flattenPositions(x); // [N, C, P]
    const smoothed = matmul(matmul(pixels, swapLast(weighted)), scaled); // X S, [N, C, P]
    return relu(this.graphConv.forward(unflattenPositions(sub(pixels, smoothed), { like: x })));
  }
}

/** Maps of one level, counted from 1. */
function levelMaps(level: number, nodeChannels: number): [string, AttentionMap][] {
  const pixels = level === 1 ? "height*width" : `height${level}*width${level}`;
  const path = `levels.${level - 1}`;
  return [
    [
      `affinity${level}`,
      { kind: "tokens", shape: ["batch", pixels, pixels], range: [0, 1], tap: `${path}.affinity` },
    ],
    [
      `channelAttention${level}`,
      {
        kind: "channel-gate",
        shape: ["batch", nodeChannels],
        range: [0, 1],
        tap: `${path}.channelAttention`,
      },
    ],
  ];
}

/**
 * Spatial pyramid graph reasoning: pixels exchange features by the Laplacian of a graph whose edges are their similarities under a
 * channel attention, at several resolutions.
 * Li, Yang, Zhao, Shen, Lin, Liu: Spatial Pyramid Based Graph Reasoning for Semantic Segmentation, CVPR 2020, arXiv:2003.10211.
 * Not checked against the paper's text or code of its authors, and two public copies contradict each other: the sigmoid of the
 * channel attention, and the pyramid (maxima of 2 x 2 pixels on the way down, sums with the nearest pixel on the way up), are a reading
 * of low confidence. `eps` is an addition, for pixels without neighbours.
 */
export class SpatialPyramidGraphReasoning extends mechanism({
  id: "spygr",
  name: "Spatial Pyramid Graph Reasoning",
  family: "spatial",
  year: 2020,
  paper:
    "Li, Yang, Zhao, Shen, Lin, Liu: Spatial Pyramid Based Graph Reasoning for Semantic Segmentation, CVPR 2020",
  arxiv: "2003.10211",
  formula: String.raw`Y = \delta\!\left(\Theta X (I - D^{-1/2} A D^{-1/2})\right),\quad A = F^\top \mathrm{diag}(\sigma(W_l\,\mathrm{GAP}(X)))\,F,\ F = \delta(\phi(X))`,
  options: z.strictObject({
    channels: size,
    nodeChannels: z._default(size, 64),
    levels: z._default(size, 1),
    eps: z._default(positive, 1e-6),
  }),
  maps: ({ levels, nodeChannels }) =>
    Object.fromEntries(
      Array.from({ length: levels }, (_, index) => levelMaps(index + 1, nodeChannels)).flat(),
    ),
  parameters: ({ channels: c, nodeChannels: m, levels }) => levels * (2 * (c * m + m) + c * c),
  macs: ({ channels: c, nodeChannels: m, levels }, { batch = 1, height = 1, width = 1 }) => {
    const ofLevel = (level: number) => {
      const pixels = Math.floor(height / 2 ** level) * Math.floor(width / 2 ** level);
      return c * m + pixels * (3 * c * m + m + c * c);
    };
    return batch * Array.from({ length: levels }, (_, level) => ofLevel(level)).reduce((a, b) => a + b);
  },
  refused: [{ channels: 0 }, { nodeChannels: 0 }, { levels: 0 }, { eps: 0 }],
  examples: [
    { options: { channels: 6, nodeChannels: 4 }, sizes: { batch: 2, height: 4, width: 5 } },
    {
      options: { channels: 4, nodeChannels: 3, levels: 2, eps: 1e-3 },
      sizes: { batch: 2, height: 5, width: 4, height2: 2, width2: 2 },
    },
  ],
}) {
  readonly levels: readonly GraphLevel[];

  constructor(options: Options<typeof SpatialPyramidGraphReasoning>) {
    super(options);
    this.levels = Array.from({ length: this.options.levels }, () => new GraphLevel(this.options));
  }

  /** @param x [N, C, H, W], H and W at least 2^(levels - 1)  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    let input = x;
    const reasoned = this.levels.map((level, index) => {
      if (index > 0) input = maxPool(input, { kernel: [2, 2], stride: 2 });
      return level.forward(input);
    });
    return reasoned.reduceRight((coarse, fine) =>
      add(fine, interpolate(coarse, { size: [fine.size(2), fine.size(3)], mode: "nearest" })),
    );
  }
}
