import * as z from "zod/mini";
import type { Tensor } from "../graph/tensor.js";
import { matmul } from "../ops/matmul.js";
import { reshape } from "../ops/shape.js";
import { convPerSample } from "../ops/unfold.js";
import { normalizeWindow, type PerAxis, windowCounts } from "../ops/window.js";
import { size } from "./options.js";

/** Options of a convolution whose kernel is mixed from K experts for each sample. */
export const expertConvOptions = {
  channels: size,
  outChannels: size,
  kernelSize: z._default(size, 3),
  stride: z._default(size, 1),
  dilation: z._default(size, 1),
  groups: z._default(size, 1),
  experts: z._default(size, 4),
};

/** Those options with their defaults filled in. */
export interface ExpertConv {
  readonly channels: number;
  readonly outChannels: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
  readonly experts: number;
  readonly bias: boolean;
}

/** Refuses channels that the groups do not divide. */
export function groupsDivide<O extends ExpertConv>(name: "channels" | "outChannels") {
  return z.refine<O>((options) => options[name] % options.groups === 0, {
    error: `${name} must be divisible by groups`,
    path: [name],
  });
}

/** Size of one kernel: [outChannels, channels / groups, k, k]. */
export function kernelShape({ channels, outChannels, kernelSize, groups }: ExpertConv): number[] {
  return [outChannels, channels / groups, kernelSize, kernelSize];
}

/** Values of one kernel. */
export function kernelCount(options: ExpertConv): number {
  return kernelShape(options).reduce((count, length) => count * length, 1);
}

/**
 * Convolution with one kernel per sample, the sum of expert kernels weighted by that sample's mixture. As convolution is linear in its
 * kernel, it equals the weighted sum of the experts' outputs at the cost of one convolution.
 * @param x [N, C, H, W]
 * @param parts mixture [N, K], weight [K, ...kernel] or [K, kernel elements], bias [K, outChannels]
 * @returns [N, outChannels, H', W']
 */
export function expertConv(
  x: Tensor,
  parts: { readonly mixture: Tensor; readonly weight: Tensor; readonly bias?: Tensor | undefined },
  options: ExpertConv,
  padding: PerAxis,
): Tensor {
  const { mixture, weight, bias } = parts;
  const { outChannels, kernelSize, stride, dilation, groups, experts } = options;
  const kernels = matmul(mixture, reshape(weight, { shape: [experts, -1] })); // [N, kernel elements]
  return convPerSample(
    x,
    reshape(kernels, { shape: [-1, outChannels, kernelCount(options) / outChannels] }),
    bias && matmul(mixture, bias), // [N, outChannels]
    { kernel: [kernelSize, kernelSize], stride, padding, dilation, groups },
  );
}

/** Multiply-accumulates of mixing and of one convolution, per sample. */
export function expertConvMacs(
  options: ExpertConv,
  padding: PerAxis,
  [height, width]: readonly [number, number],
): number {
  const { outChannels, kernelSize, stride, dilation, experts, bias } = options;
  const window = normalizeWindow({ stride, padding, dilation }, 2);
  const [rows, columns] = windowCounts([height, width], [kernelSize, kernelSize], window) as [number, number];
  const mixing = experts * (kernelCount(options) + (bias ? outChannels : 0));
  return mixing + kernelCount(options) * rows * columns;
}
