/** Largest difference of two lists, element by element; not a number where they differ in length. */
export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.NaN;
  return Math.max(...a.map((value, index) => Math.abs(value - b[index]!)));
}
