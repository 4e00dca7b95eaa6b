import * as z from "zod/mini";
import { ShapeError } from "../../base/errors.js";
import { formatShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { sigmoid } from "../../ops/activation.js";
import { add, div, mul, square, sub } from "../../ops/arithmetic.js";
import { mean, sum } from "../../ops/reduce.js";
import { mechanism } from "../mechanism.js";
import { positive } from "../options.js";

/**
 * Simple parameter-free attention: pixels that differ from their channel's mean, measured by an energy, count more.
 * Yang, Zhang, Li, Xie: SimAM, ICML 2021, PMLR 139:11863-11874, eq. 5 (the minimal energy, of which the gate takes the inverse) and 6.
 * As in the reference code the variance is divided by H W - 1, where the paper divides by H W.
 */
export class SimAM extends mechanism({
  id: "simam",
  name: "Simple Parameter-Free Attention Module",
  family: "channel-spatial",
  year: 2021,
  paper:
    "Yang, Zhang, Li, Xie: SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks, ICML 2021",
  formula: String.raw`\mathbf{y} = \mathbf{x}\,\sigma\!\left(\frac{(\mathbf{x} - \mu)^2}{4(\hat\sigma^2 + \lambda)} + \tfrac{1}{2}\right)`,
  options: z.strictObject({ lambda: z._default(positive, 1e-4) }),
  maps: () => ({
    attention: {
      kind: "spatial",
      shape: ["batch", "channels", "height", "width"],
      range: [1 / (1 + Math.exp(-0.5)), 1],
    },
  }),
  calls: () => {
    const image = ["batch", "channels", "height", "width"];
    return { forward: { inputs: { x: { shape: image } }, outputs: { y: image } } };
  },
  parameters: () => 0,
  macs: () => 0,
  refused: [{ lambda: 0 }, { lambda: -1 }],
  examples: [
    { options: {}, sizes: { batch: 2, channels: 6, height: 5, width: 7 } },
    { options: { lambda: 0.5 }, sizes: { batch: 3, channels: 4, height: 1, width: 2 } },
  ],
}) {
  /** @param x [N, C, H, W]  @returns [N, C, H, W]  @throws ShapeError for a single pixel, which has no variance */
  forward(x: Tensor): Tensor {
    const axes = [2, 3];
    const others = x.size(2) * x.size(3) - 1;
    if (others < 1) {
      throw new ShapeError(`SimAM.forward: height * width must be >= 2, found ${formatShape(x.shape)}`);
    }
    const deviation = square(sub(x, mean(x, { axes }))); // [N, C, H, W]
    const variance = mul(sum(deviation, { axes }), 1 / others); // [N, C, 1, 1]
    const scale = div(0.25, add(variance, this.options.lambda)); // [N, C, 1, 1]
    const energy = add(mul(deviation, scale), 0.5); // [N, C, H, W]  1/e*, eq. 5
    return mul(x, this.tap("attention", sigmoid(energy))); // eq. 6
  }
}
