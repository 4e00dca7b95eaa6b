import * as z from "zod/mini";
import type { HostTensor } from "../../base/dtype.js";
import { DataError, ShapeError } from "../../base/errors.js";
import { formatShape, sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { Linear } from "../../nn/linear.js";
import { MaskedBatchNorm } from "../../nn/masked-batch-norm.js";
import { relu, sigmoid } from "../../ops/activation.js";
import { div, mul } from "../../ops/arithmetic.js";
import { cast, where } from "../../ops/compare.js";
import { matmul } from "../../ops/matmul.js";
import { mean, sum } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { positive, size } from "../options.js";

/** Refuses a mask that hides all positions of a sample. */
function refuseEmptySamples({ mask }: Readonly<Record<string, HostTensor>>): void {
  if (!mask) return;
  const length = mask.data.length / mask.shape[0]!;
  for (let sample = 0; sample < mask.shape[0]!; sample++) {
    if (mask.data.subarray(sample * length, (sample + 1) * length).some((value) => Number(value) !== 0))
      continue;
    throw new DataError(
      `SpSequenceNet: mask must mark at least one position of each sample, sample ${sample} has none`,
    );
  }
}

/** Mean over the positions, of the marked ones where there is a mask: [N, C, P] -> [N, C, 1]. */
function poolPositions(x: Tensor, mask: Tensor | undefined): Tensor {
  if (!mask) return mean(x, { axes: [2] });
  return div(sum(where(mask, x, 0), { axes: [2] }), sum(cast(mask, { to: "float32" }), { axes: [2] }));
}

/**
 * SpSequenceNet's Cross-frame Global Attention: channel gates for the current frame, computed from the previous one.
 * Shi, Lin, Wang, Hung, Wang: SpSequenceNet: Semantic Segmentation Network on 4D Point Clouds, CVPR 2020, section on cross-frame global
 * attention. Written for dense frames; with a mask of occupied voxels it is the authors' sparse code (dante0shy/SpSequenceNet), whose
 * weights are transposed. Their cross-frame local interpolation is another mechanism.
 */
export class SpSequenceNet extends mechanism({
  id: "spsequencenet",
  name: "Cross-frame Global Attention",
  family: "spatial-temporal",
  year: 2020,
  paper:
    "Shi, Lin, Wang, Hung, Wang: SpSequenceNet: Semantic Segmentation Network on 4D Point Clouds, CVPR 2020",
  formula: String.raw`\mathbf{y}_t = \mathbf{x}_t\,\sigma\!\left(\mathrm{mean}_p\,W_2\,\delta(\mathrm{BN}(W_1\mathbf{x}_{t-1,p}))\right)`,
  options: z.strictObject({
    channels: size,
    eps: z._default(positive, 1e-4),
    momentum: z._default(z.number().check(z.gte(0), z.lte(1)), 0.01),
  }),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, "..."], range: [0, 1] },
  }),
  calls: ({ channels }) => ({
    forward: {
      inputs: {
        x: { shape: ["batch", channels, "...", "width"] },
        previous: { shape: ["batch", channels, "...", "previousWidth"] },
        mask: { shape: ["batch", 1, "...", "previousWidth"], dtype: "bool", optional: true },
      },
      outputs: { y: ["batch", channels, "...", "width"] },
      check: refuseEmptySamples,
    },
  }),
  parameters: ({ channels: c }) => 2 * c * c + 2 * c,
  /** Sizes of the previous frame have names that begin with `previous`. */
  macs: ({ channels: c }, { batch = 1, ...sizes }) =>
    Object.entries(sizes)
      .filter(([name]) => name.startsWith("previous"))
      .reduce((count, [, length]) => count * length, batch * 2 * c * c),
  refused: [{ channels: 0 }, { eps: 0 }, { momentum: -0.1 }, { momentum: 1.1 }],
  examples: [
    {
      options: { channels: 6 },
      sizes: { batch: 2, height: 3, width: 4, previousHeight: 3, previousWidth: 4 },
      inputs: {
        x: { shape: ["batch", 6, "height", "width"] },
        previous: { shape: ["batch", 6, "previousHeight", "previousWidth"] },
      },
    },
    {
      options: { channels: 4, momentum: 0.1 },
      sizes: { batch: 3, width: 5, previousDepth: 2, previousHeight: 3, previousWidth: 2 },
      inputs: {
        x: { shape: ["batch", 4, "width"] },
        previous: { shape: ["batch", 4, "previousDepth", "previousHeight", "previousWidth"] },
        mask: {
          shape: ["batch", 1, "previousDepth", "previousHeight", "previousWidth"],
          values: (sizes) => Array.from({ length: 12 * sizes.batch! }, (_, index) => (index % 5 < 2 ? 1 : 0)),
        },
      },
    },
  ],
}) {
  readonly conv1: Linear;
  readonly bn: MaskedBatchNorm;
  readonly conv2: Linear;

  constructor(options: Options<typeof SpSequenceNet>) {
    super(options);
    const { channels, eps, momentum } = this.options;
    const pointwise = () => new Linear({ inFeatures: channels, outFeatures: channels, bias: false });
    this.conv1 = pointwise();
    this.bn = new MaskedBatchNorm({ channels, epsilon: eps, momentum });
    this.conv2 = pointwise();
  }

  /**
   * @param input x [N, C, ...], previous [N, C, ...] of any size, mask [N, 1, ...] (bool, true where previous is occupied)
   * @returns y shaped like x
   */
  forward({
    x,
    previous,
    mask,
  }: {
    readonly x: Tensor;
    readonly previous: Tensor;
    readonly mask?: Tensor;
  }): Tensor {
    const { channels } = this.options;
    if (mask && !sameShape(mask.shape, previous.shape.with(1, 1))) {
      const expected = formatShape(previous.shape.with(1, 1));
      throw new ShapeError(
        `SpSequenceNet.forward: mask must be ${expected}, found ${formatShape(mask.shape)}`,
      );
    }
    const positions = previous.shape
      .slice(2)
      .reduce<number>((count, _, axis) => count * previous.size(axis + 2), 1);
    const frame = reshape(previous, { shape: [-1, channels, positions] }); // [N, C, P]
    const occupied = mask && reshape(mask, { shape: [-1, 1, positions] }); // [N, 1, P]
    const h = relu(this.bn.forward(matmul(this.conv1.weight, frame), occupied)); // [N, C, P]
    const t = poolPositions(matmul(this.conv2.weight, h), occupied); // [N, C, 1]
    const gate = reshape(sigmoid(t), { shape: [-1, channels, ...x.shape.slice(2).map(() => 1)] });
    return mul(x, this.tap("attention", gate)); // gate [N, C, 1, ...]
  }
}
