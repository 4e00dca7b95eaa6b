import { OptionError } from "./errors.js";

/** Closed range that a numeric option must lie in. */
export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** Refuses anything but an integer in `range`; safe integers from 0 unless told.
 *  @throws OptionError naming the option, its value and the rule */
export function checkInteger(where: string, option: string, value: unknown, range: Range = {}): void {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  const limit = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new OptionError(`${where}: ${option} is ${shown(value)}; it must be an integer ${limit}`);
}

/** Refuses anything but a finite number in `range`; any finite number unless told.
 *  @throws OptionError naming the option, its value and the rule */
export function checkNumber(where: string, option: string, value: unknown, range: Range = {}): void {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = range;
  if (Number.isFinite(value) && (value as number) >= min && (value as number) <= max) return;
  const limits = [
    ...(Number.isFinite(min) ? [`at least ${min}`] : []),
    ...(Number.isFinite(max) ? [`at most ${max}`] : []),
  ].join(" and ");
  const rule = limits === "" ? "a finite number" : `a finite number, ${limits}`;
  throw new OptionError(`${where}: ${option} is ${shown(value)}; it must be ${rule}`);
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
