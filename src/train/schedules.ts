import { checkInteger, checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";

/**
 * Learning rate at an update of the weights: a pure function of the update's number, from 0, and of the number of updates of the
 * whole run.
 */
export type Schedule = (update: number, total: number) => number;

/** The same rate throughout. */
export function constantRate(rate: number): Schedule {
  checkNumber("constant schedule", "rate", rate, { min: 0 });
  return () => rate;
}

/** Options of `stepDecay`: after every so many updates, or at the named ones. */
export type StepDecayOptions = {
  readonly rate: number;
  /** What the rate is multiplied by; 0.1 by default. */
  readonly factor?: number;
} & ({ readonly every: number } | { readonly at: readonly number[] });

/** A rate that is multiplied by a factor every so many updates, or once at each of the named updates. */
export function stepDecay(options: StepDecayOptions): Schedule {
  const { rate, factor = 0.1 } = options;
  checkNumber("step decay", "rate", rate, { min: 0 });
  checkNumber("step decay", "factor", factor, { min: 0 });
  if ("every" in options) {
    const { every } = options;
    checkInteger("step decay", "every", every, { min: 1 });
    return (update) => rate * factor ** Math.floor(update / every);
  }
  const { at } = options;
  at.forEach((milestone, index) => {
    checkInteger("step decay", "at", milestone, { min: 1 });
    if (index > 0 && milestone <= at[index - 1]!) {
      throw new OptionError(`step decay: at is ${at.join(", ")}; it must rise`);
    }
  });
  return (update) => rate * factor ** at.filter((milestone) => update >= milestone).length;
}

/** Options of `cosine`. */
export interface CosineOptions {
  /** Rate of the first update. */
  readonly rate: number;
  /** Rate after the last one; 0 by default. */
  readonly final?: number;
  /** Updates from the one to the other; the whole run by default. The final rate stays afterwards. */
  readonly updates?: number;
}

/**
 * Half a cosine from the first rate to the final one.
 * Loshchilov, Hutter: SGDR, ICLR 2017, arXiv:1608.03983, eq. 5, without restarts.
 */
export function cosine({ rate, final = 0, updates }: CosineOptions): Schedule {
  checkNumber("cosine schedule", "rate", rate, { min: 0 });
  checkNumber("cosine schedule", "final", final, { min: 0 });
  if (updates !== undefined) checkInteger("cosine schedule", "updates", updates, { min: 1 });
  return (update, total) => {
    const progress = Math.min(update / (updates ?? total), 1);
    return final + ((rate - final) * (1 + Math.cos(Math.PI * progress))) / 2;
  };
}

/**
 * Raises the rate linearly over the first `updates` updates, from 1/(updates + 1) of the schedule's first rate; then the schedule
 * begins, over what remains of the run.
 */
export function warmUp(schedule: Schedule, { updates }: { readonly updates: number }): Schedule {
  checkInteger("warm-up", "updates", updates);
  return (update, total) => {
    const remaining = Math.max(total - updates, 1);
    if (update >= updates) return schedule(update - updates, remaining);
    return (schedule(0, remaining) * (update + 1)) / (updates + 1);
  };
}
