import * as z from "zod/mini";
import { ShapeError } from "../../base/errors.js";
import { formatShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { constantValue, parameter } from "../../nn/variables.js";
import { sigmoid } from "../../ops/activation.js";
import { add, mul, sqrt } from "../../ops/arithmetic.js";
import { matmul } from "../../ops/matmul.js";
import { mean, variance } from "../../ops/reduce.js";
import { concat, reshape, transpose } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";

/** Style pooling: mean and standard deviation of each channel, [N, C, H, W] -> [N, C, 2]. */
function stylePool(x: Tensor): Tensor {
  if (x.size(2) * x.size(3) < 2) {
    throw new ShapeError(
      `SRM.forward: height x width must be >= 2, as the deviation of one pixel is undefined; found ${formatShape(x.shape)}`,
    );
  }
  const deviation = sqrt(add(variance(x, { axes: [2, 3], correction: 1 }), 1e-5));
  const styles = concat([mean(x, { axes: [2, 3] }), deviation], { axis: 3 });
  return reshape(styles, { shape: [-1, x.size(1), 2] });
}

/**
 * Style-based recalibration module: each channel's gate comes from its own mean and standard deviation.
 * Lee, Kim, Nam: SRM: A Style-based Recalibration Module for Convolutional Neural Networks, ICCV 2019, arXiv:1903.10829, section 3.
 * As in the reference code, the variance is the unbiased one (the paper divides by HW), with 1e-5 added under the root.
 */
export class SRM extends mechanism({
  id: "srm",
  name: "Style-based Recalibration Module",
  family: "channel",
  year: 2019,
  paper:
    "Lee, Kim, Nam: SRM: A Style-based Recalibration Module for Convolutional Neural Networks, ICCV 2019",
  arxiv: "1903.10829",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(\mathrm{BN}(w_{c1}\,\mu_c(\mathbf{x}) + w_{c2}\,d_c(\mathbf{x}))\right)`,
  options: z.strictObject({ channels: size }),
  maps: ({ channels }) => ({
    attention: { kind: "channel-gate", shape: ["batch", channels, 1, 1], range: [0, 1] },
  }),
  parameters: ({ channels }) => 4 * channels,
  macs: ({ channels }, { batch = 1 }) => batch * 2 * channels,
  refused: [{ channels: 0 }],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 3, height: 5, width: 7 } },
    { options: { channels: 5 }, sizes: { batch: 2, height: 1, width: 2 } },
  ],
}) {
  /** Weights of mean (column 0) and deviation (column 1) of each channel. */
  readonly cfc: Variable;
  readonly bn: BatchNorm;

  constructor(options: Options<typeof SRM>) {
    super(options);
    const { channels } = this.options;
    this.cfc = parameter([channels, 2], constantValue(0));
    this.bn = new BatchNorm({ channels });
  }

  /** @param x [N, C, H, W] with H W >= 2  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    const { channels } = this.options;
    // One product per channel over all samples: much faster than one per channel and sample.
    const styles = transpose(stylePool(x), { perm: [1, 0, 2] }); // [C, N, 2]
    const integrated = matmul(styles, reshape(this.cfc, { shape: [channels, 2, 1] })); // [C, N, 1]
    const z = reshape(transpose(integrated, { perm: [1, 0, 2] }), { shape: [-1, channels, 1, 1] });
    return mul(x, this.tap("attention", sigmoid(this.bn.forward(z))));
  }
}
