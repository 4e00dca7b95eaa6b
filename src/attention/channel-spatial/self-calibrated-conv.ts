import { ShapeError } from "../../base/errors.js";
import { formatShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { ConvNorm } from "../../nn/conv-norm.js";
import { Module } from "../../nn/module.js";
import { kaimingNormal } from "../../nn/variables.js";
import { sigmoid } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { averagePool } from "../../ops/average-pool.js";
import { interpolate } from "../../ops/resize.js";

/** Options that the 3x3 convolutions of a block share. */
export interface CalibrationOptions {
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
  /** Factor between the resolutions of the input and of the calibration. */
  readonly poolingRate: number;
}

/** A convolution with batch normalization whose weights start normal with deviation sqrt(2 / fanOut), fanOut whatever the groups. */
export function fanOutConvNorm(options: {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: 1 | 3;
  readonly stride?: number;
  readonly dilation?: number;
  readonly groups?: number;
}): ConvNorm {
  const { outChannels, kernel, dilation = 1 } = options;
  return new ConvNorm({
    ...options,
    padding: kernel === 3 ? dilation : 0,
    initializer: kaimingNormal(outChannels * kernel ** 2),
  });
}

/** The self-calibrated convolution; section 3.2, eq. 2 to 5. */
export class SelfCalibratedConv extends Module {
  /** None: its map stands at the path of the module that calls it. */
  static override readonly calls: readonly string[] = [];
  readonly k2: ConvNorm;
  readonly k3: ConvNorm;
  readonly k4: ConvNorm;
  readonly #rate: number;

  constructor(options: CalibrationOptions & { readonly channels: number }) {
    super();
    const { channels, stride, dilation, groups, poolingRate } = options;
    const shared = { inChannels: channels, outChannels: channels, kernel: 3, dilation, groups } as const;
    this.k2 = fanOutConvNorm(shared);
    this.k3 = fanOutConvNorm(shared);
    this.k4 = fanOutConvNorm({ ...shared, stride });
    this.#rate = poolingRate;
  }

  /** @param x [N, C, H, W]  @returns [N, C, H', W']  @throws ShapeError for an image smaller than a pooling window */
  forward(x: Tensor): Tensor {
    const rate = this.#rate;
    const size = [x.size(2), x.size(3)];
    if (Math.min(...size) < rate) {
      throw new ShapeError(
        `height and width must be at least poolingRate ${rate}, found ${formatShape(x.shape)}`,
      );
    }
    const pooled = averagePool(x, { kernel: [rate, rate] }); // [N, C, floor(H / r), floor(W / r)]  eq. 2
    const reference = interpolate(this.k2.forward(pooled), { size, mode: "nearest" }); // [N, C, H, W]  eq. 3
    const gate = this.tap("calibration", sigmoid(add(x, reference))); // [N, C, H, W]
    return this.k4.forward(mul(this.k3.forward(x), gate)); // eq. 4 and 5
  }
}
