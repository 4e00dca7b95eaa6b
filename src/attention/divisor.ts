/**
 * The nearest multiple of `divisor` to `value`, halves up, at least one divisor (or `minimum`). Where `limit` is given and the result
 * falls below `limit * value`, one divisor is added (MobileNet's rule, limit 0.9).
 */
export function roundToDivisor(value: number, divisor: number, limit = 0, minimum = divisor): number {
  const rounded = Math.max(minimum, Math.floor(Math.trunc(value + divisor / 2) / divisor) * divisor);
  return rounded < limit * value ? rounded + divisor : rounded;
}
