import { checkInteger, checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";

/** Which value is watched, and which direction is better. */
export interface WatchedMetric {
  /** Name among the evaluation's values: `loss`, `accuracy` ... */
  readonly metric: string;
  /** By default `min` for the loss, `max` for everything else. */
  readonly mode?: "min" | "max";
}

/** Ends a run when a metric of the validation no longer improves. */
export interface EarlyStopping extends WatchedMetric {
  /** Evaluations without improvement after which the run ends, at least 1. */
  readonly patience: number;
  /** Least change that counts as an improvement; 0 by default. */
  readonly minDelta?: number;
}

/** What is known of a watched value; kept in checkpoints. */
export interface WatchState {
  /** The best value so far. */
  readonly best?: number;
  /** Evaluations since then. */
  readonly waited: number;
}

/** Follows a metric over evaluations. */
export class ImprovementWatch {
  readonly #watched: WatchedMetric & { readonly minDelta?: number };
  #state: WatchState;

  constructor(watched: WatchedMetric & { readonly minDelta?: number }, state: WatchState = { waited: 0 }) {
    checkWatched(watched);
    this.#watched = watched;
    this.#state = state;
  }

  get state(): WatchState {
    return this.#state;
  }

  /**
   * Takes note of an evaluation; a value that is not a number never improves.
   * @returns whether the metric improved
   * @throws OptionError where the evaluation has no such metric
   */
  observe(values: Readonly<Record<string, number>>): boolean {
    const { metric, mode = metric === "loss" ? "min" : "max", minDelta = 0 } = this.#watched;
    const value = values[metric];
    if (value === undefined) {
      throw new OptionError(
        `metric ${metric} is to be watched; the evaluation has ${Object.keys(values).join(", ") || "none"}`,
      );
    }
    const { best, waited } = this.#state;
    const gain = best === undefined ? Number.POSITIVE_INFINITY : mode === "min" ? best - value : value - best;
    const improved = Number.isFinite(value) && gain > minDelta;
    this.#state = improved
      ? { best: value, waited: 0 }
      : { ...(best === undefined ? {} : { best }), waited: waited + 1 };
    return improved;
  }
}

/** @throws OptionError */
export function checkWatched({ mode, minDelta }: WatchedMetric & { readonly minDelta?: number }): void {
  if (mode !== undefined && mode !== "min" && mode !== "max") {
    throw new OptionError(`watched metric: mode is ${mode}; it must be min or max`);
  }
  if (minDelta !== undefined) checkNumber("watched metric", "minDelta", minDelta, { min: 0 });
}

/** @throws OptionError */
export function checkEarlyStopping(options: EarlyStopping): void {
  checkInteger("early stopping", "patience", options.patience, { min: 1 });
  checkWatched(options);
}

/** What is watched unless told: the accuracy, the loss, or the first value that there is. */
export function defaultWatch(values: Readonly<Record<string, number>>): WatchedMetric | undefined {
  const names = Object.keys(values);
  const metric = ["accuracy", "loss", ...names].find((name) => names.includes(name));
  return metric === undefined ? undefined : { metric };
}
