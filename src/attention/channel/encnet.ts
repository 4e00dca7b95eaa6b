import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import { Linear } from "../../nn/linear.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { swapLast } from "../../ops/matmul.js";
import { mean } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, size } from "../options.js";
import { Encoding } from "./encoding.js";

/** Result of context encoding with its class-presence head. */
export interface EncodedContext {
  /** Features [N, C, H, W]. */
  readonly y: Tensor;
  /** Logits [N, numClasses] of the classes that occur in the image, for a binary cross-entropy (weight 0.2 in the paper). */
  readonly seLogits: Tensor;
}

/**
 * Context encoding module: channel gates from an orderless dictionary encoding of the whole image.
 * Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal: Context Encoding for Semantic Segmentation, CVPR 2018, arXiv:1803.08904, section 3.
 * As in the reference code, the codes are averaged (the paper sums them), the result is relu(x + x s) (the paper: x s), and the
 * smoothing factors carry their own sign.
 */
export class EncNet extends mechanism({
  id: "encnet",
  name: "Context Encoding",
  family: "channel",
  year: 2018,
  paper:
    "Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal: Context Encoding for Semantic Segmentation, CVPR 2018",
  arxiv: "1803.08904",
  formula: String.raw`\mathbf{y} = \delta\!\left(\mathbf{x} + \mathbf{x}\,\sigma(W\mathbf{e})\right),\quad \mathbf{e} = \tfrac{1}{K}\sum_k \delta(\mathrm{BN}(\mathbf{E}))_k,\quad \mathbf{E}_k = \sum_i \mathrm{softmax}_k\!\left(s_k\|\mathbf{f}_i - \mathbf{c}_k\|^2\right)(\mathbf{f}_i - \mathbf{c}_k)`,
  options: z
    .strictObject({
      channels: size,
      numCodes: z._default(size, 32),
      seLoss: flag(true),
      numClasses: optional(size),
    })
    .check(
      z.refine((o) => !o.seLoss || typeof o.numClasses === "number", {
        error: "seLoss needs the number of classes; give it, or seLoss: false",
        path: ["numClasses"],
      }),
    ),
  maps: ({ channels, numCodes }) => ({
    assignment: {
      kind: "tokens",
      shape: ["batch", "height*width", numCodes],
      range: [0, 1],
      sumsToOne: [2],
      tap: "encoding.assignment",
    },
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] },
  }),
  calls: ({ channels, seLoss, numClasses }) => {
    const image = ["batch", channels, "height", "width"];
    const logits = seLoss ? { seLogits: ["batch", numClasses!] } : {};
    return { forward: { inputs: { x: { shape: image } }, outputs: { y: image, ...logits } } };
  },
  parameters: ({ channels: c, numCodes: k, seLoss, numClasses }) =>
    c * c + 2 * c + (k * c + k) + 2 * k + (c * c + c) + (seLoss ? (c + 1) * numClasses! : 0),
  macs: ({ channels: c, numCodes: k, seLoss, numClasses }, { batch = 1, height = 1, width = 1 }) =>
    batch * ((c * c + 2 * k * c) * height * width + c * c + (seLoss ? c * numClasses! : 0)),
  refused: [
    { channels: 0 },
    { numCodes: 0 },
    { numClasses: 0 },
    { numClasses: null },
    { seLoss: true, numClasses: undefined },
  ],
  examples: [
    { options: { channels: 8, numCodes: 6, numClasses: 5 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 6, numCodes: 3, seLoss: false }, sizes: { batch: 3, height: 4, width: 4 } },
  ],
  checkpoints: {
    "zhanghang1989/PyTorch-Encoding": {
      "encoding.0": "conv",
      "encoding.1": "bn",
      "encoding.3": "encoding",
      "encoding.4": "encodingBn",
      "fc.0": "fc",
      selayer: "seLayer",
    },
  },
}) {
  readonly conv: Conv2d;
  readonly bn: BatchNorm;
  readonly encoding: Encoding;
  readonly encodingBn: BatchNorm;
  readonly fc: Linear;
  readonly seLayer?: Linear;

  constructor(options: Options<typeof EncNet>) {
    super(options);
    const { channels, numCodes, seLoss, numClasses } = this.options;
    this.conv = new Conv2d({ inChannels: channels, outChannels: channels, kernel: 1, bias: false });
    this.bn = new BatchNorm({ channels });
    this.encoding = new Encoding({ channels, numCodes });
    this.encodingBn = new BatchNorm({ channels: numCodes });
    this.fc = new Linear({ inFeatures: channels, outFeatures: channels });
    if (seLoss) this.seLayer = new Linear({ inFeatures: channels, outFeatures: numClasses! });
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W], or with `seLoss` an object of it and the logits */
  forward(x: Tensor): Tensor | EncodedContext {
    const { channels } = this.options;
    const features = relu(this.bn.forward(this.conv.forward(x))); // [N, C, H, W]
    const f = swapLast(reshape(features, { shape: [-1, channels, x.size(2) * x.size(3)] })); // [N, P, C]
    const codes = relu(this.encodingBn.forward(this.encoding.forward(f))); // [N, K, C]
    const e = mean(codes, { axes: [1], keepDims: false }); // [N, C]
    const s = reshape(sigmoid(this.fc.forward(e)), { shape: [-1, channels, 1, 1] });
    const y = relu(mul(x, add(this.tap("attention", s), 1))); // x + x s, in one pass over x
    return this.seLayer ? { y, seLogits: this.seLayer.forward(e) } : y;
  }
}
