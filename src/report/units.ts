const prefixes = ["", "k", "M", "G", "T", "P"];
const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `value` with `digits` significant digits, never in scientific notation; integer digits are kept. */
function significant(value: number, digits: number): string {
  const rounded = Math.abs(Number(value.toPrecision(digits)));
  const magnitude = rounded === 0 ? 0 : Math.floor(Math.log10(rounded));
  return value.toFixed(Math.min(20, Math.max(0, digits - 1 - magnitude)));
}

/** Index of the unit in which `value` reads below `base` after rounding to `digits` significant digits. */
function unitIndex(value: number, base: number, digits: number, last: number): number {
  let index = 0;
  let rest = Math.abs(value);
  while (index < last && Number(significant(rest, digits)) >= base) {
    rest /= base;
    index++;
  }
  return index;
}

/** A count with an SI prefix and three significant digits: `950`, `1.23 M`, `12.3 k`; `n/a` if not finite. */
export function formatCount(value: number): string {
  if (!Number.isFinite(value)) return "n/a";
  if (Number.isInteger(value) && Math.abs(value) < 1000) return String(value);
  const index = unitIndex(value, 1000, 3, prefixes.length - 1);
  const text = significant(value / 1000 ** index, 3);
  return index === 0 ? text : `${text} ${prefixes[index]}`;
}

/** A rate with an SI prefix: `formatRate(1234, "images/s")` is `1.23 k images/s`. */
export function formatRate(value: number, unit: string): string {
  return `${formatCount(value)} ${unit}`;
}

/** An integer with thousands separated by commas: `60,000`. */
export function formatInteger(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : "n/a";
}

/** Bytes in binary units with three significant digits: `512 B`, `1.50 KiB`, `233 MiB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return "n/a";
  const index = unitIndex(bytes, 1024, 4, binaryUnits.length - 1);
  const value = bytes / 1024 ** index;
  return `${index === 0 ? Math.round(value) : significant(value, 3)} ${binaryUnits[index]}`;
}

/** Seconds as people read them: `340 us`, `12.3 ms`, `4.56 s`, `1:05`, `1:02:03`, `2 d 3:04:05`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "n/a";
  if (seconds < 0) return `-${formatDuration(-seconds)}`;
  if (seconds === 0) return "0 s";
  if (seconds < 0.9995e-3) return `${significant(seconds * 1e6, 3)} us`;
  if (seconds < 0.9995) return `${significant(seconds * 1e3, 3)} ms`;
  if (seconds < 59.95) return `${significant(seconds, 3)} s`;
  return formatClock(seconds);
}

/** Seconds as a clock: `0:07`, `1:05`, `1:02:03`, `2 d 3:04:05`. */
export function formatClock(seconds: number): string {
  if (!Number.isFinite(seconds)) return "n/a";
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  const clock =
    days > 0 || hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  return days > 0 ? `${days} d ${clock}` : clock;
}

/** A fraction in 0..1 as a percentage: `formatPercent(0.98765)` is `98.77 %`. */
export function formatPercent(fraction: number, decimals = 2): string {
  return Number.isFinite(fraction) ? `${(fraction * 100).toFixed(decimals)} %` : "n/a";
}

/** A measured value such as a loss with four significant digits, in scientific notation where that is shorter: `0.1234`, `1.234e-7`. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(3) : significant(value, 4);
}
