import * as z from "zod/mini";
import { roundToDivisor } from "./divisor.js";

/** Options of a mechanism that works on fewer channels. */
export interface ReductionOptions {
  readonly channels: number;
  readonly reduction: number;
}

/** Number of reduced channels: floor(channels / reduction). */
export function reducedWidth({ channels, reduction }: ReductionOptions): number {
  return Math.floor(channels / reduction);
}

/** Number of reduced channels: as given, or channels / reduction rounded, halves up, at least 1. */
export function roundedWidth(
  options: ReductionOptions & { readonly reducedChannels?: number | null | undefined },
): number {
  return options.reducedChannels ?? roundToDivisor(options.channels / options.reduction, 1);
}

/** Number of inner channels: as given, or half the channels, at least 1. */
export function innerWidth(options: {
  readonly channels: number;
  readonly innerChannels?: number | null | undefined;
}): number {
  return options.innerChannels ?? Math.max(1, Math.floor(options.channels / 2));
}

/** Check of options that refuses a reduction that leaves no channel, where the options have one. */
export function leavesChannelsWhere<O extends ReductionOptions>(hasReduction: (options: O) => boolean) {
  return z.refine<O>((options) => !hasReduction(options) || reducedWidth(options) >= 1, {
    error: "floor(channels / reduction) must be >= 1",
    path: ["reduction"],
  });
}

/** Check of options that refuses a reduction that leaves no channel. */
export const leavesChannels = leavesChannelsWhere<ReductionOptions>(() => true);
