import * as z from "zod/mini";

/** Options of a mechanism that works on fewer channels. */
export interface ReductionOptions {
  readonly channels: number;
  readonly reduction: number;
}

/** Number of reduced channels: floor(channels / reduction). */
export function reducedWidth({ channels, reduction }: ReductionOptions): number {
  return Math.floor(channels / reduction);
}

/** Check of options that refuses a reduction that leaves no channel. */
export const leavesChannels = z.refine<ReductionOptions>((options) => reducedWidth(options) >= 1, {
  error: "floor(channels / reduction) must be >= 1",
  path: ["reduction"],
});
