import { checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";

/**
 * Exponential moving average of the parameters, taken after each update: a += (1 - decay) (p - a). It starts at the initial
 * parameters. Buffers, such as running statistics, are not averaged again.
 */
export interface MovingAverage {
  /** Share of the old average, in [0, 1), such as 0.999. */
  readonly decay: number;
  /**
   * Lets the average forget the initial parameters sooner: at update t (from 0) the decay is min(decay, (1 + t) / (10 + t)).
   * False by default.
   */
  readonly warmUp?: boolean;
}

/** @throws OptionError */
export function checkMovingAverage({ decay }: MovingAverage): void {
  checkNumber("moving average", "decay", decay, { min: 0 });
  if (decay >= 1) throw new OptionError(`moving average: decay is ${decay}; it must be below 1`);
}

/** Share of the new parameters in the average at an update, counted from 0. */
export function movingAverageRate({ decay, warmUp = false }: MovingAverage, update: number): number {
  return 1 - (warmUp ? Math.min(decay, (1 + update) / (10 + update)) : decay);
}
