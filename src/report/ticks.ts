import { formatCount, formatInteger } from "./units.js";

/** An axis: its ends, where its marks lie, and how they read. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  readonly labels: readonly string[];
  /** Position of a value, 0 at the low end and 1 at the high end. */
  readonly position: (value: number) => number;
}

/** What an axis shows. */
export interface AxisOptions {
  /** About how many marks; default 5. */
  readonly count?: number;
  readonly log?: boolean;
  /** Marks at whole numbers only. */
  readonly integer?: boolean;
  /** Ends grow to the next mark. */
  readonly nice?: boolean;
  /** Ends never grow past these. */
  readonly bounds?: readonly [low: number, high: number];
  /** Labels are percentages of values in 0..1. */
  readonly percent?: boolean;
}

/** Smallest of 1, 2, 5 times a power of ten that makes at most about `count` steps. */
function niceStep(span: number, count: number): number {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const share = rough / power;
  return power * (share <= 1.01 ? 1 : share <= 2.02 ? 2 : share <= 5.05 ? 5 : 10);
}

function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

/** Values of 1, or 1, 2 and 5, or 1 to 9 times powers of ten between two positive values. */
function logMarks(low: number, high: number, factors: readonly number[]): number[] {
  const marks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) marks.push(Number((factor * 10 ** power).toPrecision(12)));
  }
  return marks.filter((mark) => mark >= low * (1 - 1e-9) && mark <= high * (1 + 1e-9));
}

function logTicks(low: number, high: number, count: number): number[] {
  const decades = logMarks(low, high, [1]);
  if (decades.length > count + 2) {
    const keep = Math.ceil(decades.length / count);
    return decades.filter((mark) => Math.round(Math.log10(mark)) % keep === 0);
  }
  if (decades.length >= 3) return decades;
  const halves = logMarks(low, high, [1, 2, 5]);
  return halves.length >= 3 ? halves : multiples(low, high, niceStep(high - low, count));
}

function label(value: number, step: number, percent: boolean): string {
  const shown = percent ? value * 100 : value;
  const spacing = percent ? step * 100 : step;
  const size = Math.abs(shown);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return shown.toExponential().replace("+", "");
  if (Number.isInteger(shown) && size >= 1000)
    return size >= 1e6 ? formatCount(shown).replace(/\.?0+(?= )/, "") : formatInteger(shown);
  const decimals = Math.min(12, Math.max(0, -Math.floor(Math.log10(spacing) + 1e-9)));
  return `${shown.toFixed(decimals)}${percent ? " %" : ""}`;
}

/** An axis for values between `low` and `high`; a logarithmic one needs both above zero. */
export function axis(low: number, high: number, options: AxisOptions = {}): Axis {
  const { count = 5, log = false, integer = false, percent = false, bounds } = options;
  let [from, to] = [low, high];
  if (from === to) {
    const around = from === 0 ? 1 : Math.abs(from) * (log ? 0.5 : 0.1);
    [from, to] = [from - around, to + around];
  }
  const step = Math.max(niceStep(to - from, count), integer ? 1 : 0);
  if (options.nice && !log) {
    [from, to] = [Math.floor(from / step + 1e-9) * step, Math.ceil(to / step - 1e-9) * step];
  }
  if (bounds !== undefined && !log) {
    [from, to] = [Math.max(from, Math.min(bounds[0], low)), Math.min(to, Math.max(bounds[1], high))];
  }
  const ticks = log ? logTicks(from, to, count) : multiples(from, to, step);
  const scale = log ? Math.log : (value: number) => value;
  const [start, span] = [scale(from), scale(to) - scale(from)];
  return {
    low: from,
    high: to,
    ticks,
    labels: ticks.map((tick) => label(tick, log ? 10 ** Math.floor(Math.log10(tick) + 1e-9) : step, percent)),
    position: (value) => (scale(value) - start) / span,
  };
}
