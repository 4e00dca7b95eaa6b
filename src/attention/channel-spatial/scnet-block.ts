import { positionCount, type SquareWindow } from "../conv-sizes.js";
import type { Sizes } from "../sizes.js";
import {
  type BottleneckOptions,
  halfWidth,
  hasProjection,
  outputWidth,
  poolsHalves,
} from "./self-calibrated-bottleneck.js";

/** Options of both blocks, with their defaults. */
export interface BlockOptions extends Omit<BottleneckOptions, "inChannels" | "planes"> {
  readonly block: "conv" | "bottleneck";
  readonly channels?: number | null | undefined;
  readonly inChannels?: number | null | undefined;
  readonly planes?: number | null | undefined;
}

/** Options of the bottleneck, or undefined for the convolution alone. */
export function bottleneckOf({
  block,
  inChannels,
  planes,
  ...shared
}: BlockOptions): BottleneckOptions | undefined {
  return block === "bottleneck" ? { ...shared, inChannels: inChannels!, planes: planes! } : undefined;
}

/** Channels of the self-calibrated convolution. */
export function calibratedWidth(options: BlockOptions): number {
  const bottleneck = bottleneckOf(options);
  return bottleneck ? halfWidth(bottleneck) : options.channels!;
}

/** Weights of one 3x3 convolution. */
function kernelWeights(options: BlockOptions): number {
  return (9 * calibratedWidth(options) ** 2) / options.groups;
}

/** Window of the 3x3 convolutions of a block as a whole. */
export function sharedWindow({ stride, dilation }: BlockOptions): SquareWindow {
  return { kernel: 3, stride, dilation, padding: dilation };
}

/** Number of trained values. */
export function countParameters(options: BlockOptions): number {
  const kernel = kernelWeights(options) + 2 * calibratedWidth(options);
  const bottleneck = bottleneckOf(options);
  if (!bottleneck) return 3 * kernel;
  const [inputs, half, outputs] = [bottleneck.inChannels, halfWidth(bottleneck), outputWidth(bottleneck)];
  const projection = hasProjection(bottleneck) ? outputs * inputs + 2 * outputs : 0;
  return 2 * (inputs * half + 2 * half) + 4 * kernel + 2 * half * outputs + 2 * outputs + projection;
}

/** Multiply-accumulates of all convolutions. */
export function countMacs(options: BlockOptions, { batch = 1, height = 1, width = 1 }: Sizes): number {
  const { poolingRate } = options;
  const bottleneck = bottleneckOf(options);
  const whole = height * width;
  const pooled = Math.floor(height / poolingRate) * Math.floor(width / poolingRate);
  const strided = positionCount({ height, width }, sharedWindow(options));
  const last = bottleneck && poolsHalves(bottleneck) ? whole : strided;
  const calibrated = kernelWeights(options) * (pooled + whole + last);
  if (!bottleneck) return batch * calibrated;
  const [inputs, half, outputs] = [bottleneck.inChannels, halfWidth(bottleneck), outputWidth(bottleneck)];
  const projection = hasProjection(bottleneck) ? inputs * outputs * strided : 0;
  const reduce = 2 * inputs * half * whole;
  return (
    batch * (reduce + kernelWeights(options) * last + calibrated + 2 * half * outputs * strided + projection)
  );
}
