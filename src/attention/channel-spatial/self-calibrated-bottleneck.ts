import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv2d } from "../../nn/conv.js";
import type { ConvNorm } from "../../nn/conv-norm.js";
import { Module } from "../../nn/module.js";
import { kaimingNormal } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { add } from "../../ops/arithmetic.js";
import { averagePool } from "../../ops/average-pool.js";
import { concat } from "../../ops/shape.js";
import { type CalibrationOptions, fanOutConvNorm, SelfCalibratedConv } from "./self-calibrated-conv.js";

/** Options of a residual bottleneck. */
export interface BottleneckOptions extends CalibrationOptions {
  readonly inChannels: number;
  /** A quarter of the output channels. */
  readonly planes: number;
  /** Channels of each half per 64 planes. */
  readonly bottleneckWidth: number;
  /** Average pooling takes over the stride of the 3x3 convolutions. */
  readonly avd: boolean;
  /** First block of a stage, where `avd` pools at stride 1 too. */
  readonly isFirst: boolean;
  /** Average pooling takes over the stride of the shortcut. */
  readonly avgDown: boolean;
}

/** Channels of each of the two halves. */
export function halfWidth({ planes, bottleneckWidth, groups }: BottleneckOptions): number {
  return Math.floor((planes * bottleneckWidth) / 64) * groups;
}

/** Channels of the result. */
export function outputWidth({ planes }: { readonly planes: number }): number {
  return 4 * planes;
}

/** True where the shortcut is a convolution. */
export function hasProjection(options: BottleneckOptions): boolean {
  return options.stride !== 1 || options.inChannels !== outputWidth(options);
}

/** True where pooling takes over the stride of the 3x3 convolutions. */
export function poolsHalves({ avd, stride, isFirst }: BottleneckOptions): boolean {
  return avd && (stride > 1 || isFirst);
}

/** Residual bottleneck of two halves: an ordinary 3x3 convolution beside a self-calibrated one; figure 2. */
export class SelfCalibratedBottleneck extends Module {
  /** None: its parts and its map stand at the path of the module that calls it. */
  static override readonly calls: readonly string[] = [];
  readonly conv1A: Conv2d;
  readonly bn1A: BatchNorm;
  readonly conv1B: Conv2d;
  readonly bn1B: BatchNorm;
  readonly k1: ConvNorm;
  readonly scconv: SelfCalibratedConv;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm;
  readonly downsample?: ConvNorm;
  readonly #options: BottleneckOptions;

  constructor(options: BottleneckOptions) {
    super();
    const { inChannels, dilation, groups, poolingRate, avgDown } = options;
    const width = halfWidth(options);
    const outChannels = outputWidth(options);
    const stride = poolsHalves(options) ? 1 : options.stride;
    this.conv1A = pointwise(inChannels, width);
    this.bn1A = new BatchNorm({ channels: width });
    this.conv1B = pointwise(inChannels, width);
    this.bn1B = new BatchNorm({ channels: width });
    this.k1 = fanOutConvNorm({
      inChannels: width,
      outChannels: width,
      kernel: 3,
      stride,
      dilation,
      groups,
    });
    this.scconv = new SelfCalibratedConv({ channels: width, stride, dilation, groups, poolingRate });
    this.conv3 = pointwise(2 * width, outChannels);
    this.bn3 = new BatchNorm({ channels: outChannels });
    if (hasProjection(options)) {
      const step = avgDown ? 1 : options.stride;
      this.downsample = fanOutConvNorm({ inChannels, outChannels, kernel: 1, stride: step });
    }
    this.#options = options;
  }

  /** @param x [N, inChannels, H, W]  @returns [N, 4 planes, H', W'] */
  forward(x: Tensor): Tensor {
    const a = relu(this.k1.forward(relu(this.bn1A.forward(this.conv1A.forward(x))))); // [N, gw, H', W']
    const b = relu(this.scconv.forward(relu(this.bn1B.forward(this.conv1B.forward(x))))); // [N, gw, H', W']
    const halves = poolsHalves(this.#options) ? [a, b].map((half) => this.#poolHalf(half)) : [a, b];
    const y = this.bn3.forward(this.conv3.forward(concat(halves, { axis: 1 }))); // [N, 4 planes, H', W']
    return relu(add(y, this.#shortcut(x)));
  }

  /** The zeros around the image count in the mean. */
  #poolHalf(half: Tensor): Tensor {
    return averagePool(half, { kernel: [3, 3], stride: this.#options.stride, padding: 1 });
  }

  #shortcut(x: Tensor): Tensor {
    const { stride, avgDown } = this.#options;
    if (!this.downsample) return x;
    if (!avgDown || stride === 1) return this.downsample.forward(x);
    const window = { kernel: [stride, stride], ceilMode: true, countIncludePad: false };
    return this.downsample.forward(averagePool(x, window));
  }
}

function pointwise(inChannels: number, outChannels: number): Conv2d {
  const initializer = kaimingNormal(outChannels);
  return new Conv2d({ inChannels, outChannels, kernel: 1, bias: false, initializer });
}
