import { formatClock, formatCount, formatInteger, formatPercent, formatValue } from "./units.js";

/** Figures of a training step. */
export interface ProgressUpdate {
  /** Steps done so far, counted from the beginning of the run. */
  readonly step: number;
  readonly loss?: number;
  /** Share in 0..1. */
  readonly accuracy?: number;
  readonly imagesPerSecond?: number;
}

/** Shows how far a run is. */
export interface Progress {
  update(figures: ProgressUpdate): void;
  /** Writes a line of text of its own. */
  message(text: string): void;
  /** Shows the last figures and ends the display; later calls do nothing. */
  stop(): void;
}

/** What a progress display needs to know about a run. */
export interface ProgressPlan {
  /** Steps of the whole run. */
  readonly total: number;
  /** Steps done before this start, when a run is resumed; default 0. */
  readonly done?: number;
  /** Steps of an epoch; absent where a run has none. */
  readonly stepsPerEpoch?: number;
}

/** Milliseconds that only grow. */
export type Clock = () => number;

/** The monotonic clock of the platform. */
export const systemClock: Clock = () => performance.now();

/** Estimates the time left from the steps of this start; recent steps count more. */
export class TimeLeft {
  readonly #total: number;
  readonly #clock: Clock;
  #step: number;
  #at: number;
  #rate = 0;
  #weight = 0;

  constructor({ total, done = 0 }: ProgressPlan, clock: Clock) {
    this.#total = total;
    this.#clock = clock;
    this.#step = done;
    this.#at = clock();
  }

  /** @returns seconds left, NaN before a first measurement */
  update(step: number): number {
    const now = this.#clock();
    const seconds = (now - this.#at) / 1000;
    const steps = step - this.#step;
    if (steps > 0 && seconds > 0) {
      // Exponential mean over time with a time constant of 20 s, corrected for its start.
      const keep = Math.exp(-seconds / 20);
      this.#rate = keep * this.#rate + (1 - keep) * (steps / seconds);
      this.#weight = keep * this.#weight + (1 - keep);
      this.#step = step;
      this.#at = now;
    }
    return this.#weight > 0 ? (this.#total - this.#step) / (this.#rate / this.#weight) : Number.NaN;
  }
}

/** Epoch that a step belongs to, from 1; the last step of an epoch is still of that epoch. */
function epochOf(step: number, stepsPerEpoch: number): number {
  return Math.max(1, Math.ceil(step / stepsPerEpoch));
}

/** Figures of a step as words: `epoch 1/3`, `loss 0.1234`, `accuracy 97.10 %`, `3,412 images/s`. */
export function figures({ total, stepsPerEpoch }: ProgressPlan, update: ProgressUpdate): string[] {
  const { step, loss, accuracy, imagesPerSecond } = update;
  const words: string[] = [];
  if (stepsPerEpoch !== undefined) {
    words.push(`epoch ${epochOf(step, stepsPerEpoch)}/${epochOf(total, stepsPerEpoch)}`);
  }
  if (loss !== undefined) words.push(`loss ${formatValue(loss)}`);
  if (accuracy !== undefined) words.push(`accuracy ${formatPercent(accuracy)}`);
  if (imagesPerSecond !== undefined) {
    const rate = imagesPerSecond < 1e6 && imagesPerSecond >= 100 ? formatInteger : formatCount;
    words.push(`${rate(imagesPerSecond)} images/s`);
  }
  return words;
}

/** `left 1:05`, or nothing while it is not known. */
export function timeLeftWords(seconds: number): string[] {
  return Number.isFinite(seconds) ? [`left ${formatClock(seconds)}`] : [];
}

/** How often lines are written. */
export interface LineOptions {
  /** Least seconds between lines within an epoch; default 5. */
  readonly every?: number;
  readonly clock?: Clock;
}

/** Progress as plain lines for logs: at the first step, then at most one every few seconds, at each epoch's end, and at the end. */
export function lineProgress(
  plan: ProgressPlan,
  write: (line: string) => void,
  { every = 5, clock = systemClock }: LineOptions = {},
): Progress {
  const timeLeft = new TimeLeft(plan, clock);
  const digits = formatInteger(plan.total).length;
  let last: ProgressUpdate | null = null;
  let shown = plan.done ?? 0;
  let shownAt = Number.NEGATIVE_INFINITY;
  let stopped = false;
  const show = (update: ProgressUpdate, seconds: number) => {
    shown = update.step;
    shownAt = clock();
    const position = `step ${formatInteger(update.step).padStart(digits)}/${formatInteger(plan.total)}`;
    write([position, ...figures(plan, update), ...timeLeftWords(seconds)].join("  "));
  };
  return {
    update(update) {
      if (stopped) return;
      last = update;
      const seconds = timeLeft.update(update.step);
      const { stepsPerEpoch } = plan;
      const crossed =
        stepsPerEpoch !== undefined &&
        Math.floor(update.step / stepsPerEpoch) > Math.floor(shown / stepsPerEpoch);
      const due = clock() - shownAt >= every * 1000;
      if (crossed || due || update.step >= plan.total) show(update, seconds);
    },
    message(text) {
      if (!stopped) write(text);
    },
    stop() {
      if (stopped) return;
      if (last !== null && last.step !== shown) show(last, timeLeft.update(last.step));
      stopped = true;
    },
  };
}
