/** Mean of a power of the distances from a center. */
export function moment(values: ArrayLike<number>, power: number, center = 0): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - center) ** power;
  return sum / values.length;
}

/** Correlation of two sequences; its deviation is 1 / sqrt(length) where they are independent. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [meanA, meanB] = [moment(a, 1), moment(b, 1)];
  let covariance = 0;
  for (let i = 0; i < a.length; i++) covariance += (a[i]! - meanA) * (b[i]! - meanB);
  return covariance / a.length / Math.sqrt(moment(a, 2, meanA) * moment(b, 2, meanB));
}

/** Chi-square of counts against a flat distribution, as a standard normal deviate (Wilson and Hilferty). */
export function chiSquareDeviate(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  const expected = total / counts.length;
  let chi = 0;
  for (let i = 0; i < counts.length; i++) chi += (counts[i]! - expected) ** 2 / expected;
  const freedom = counts.length - 1;
  return (Math.cbrt(chi / freedom) - (1 - 2 / (9 * freedom))) / Math.sqrt(2 / (9 * freedom));
}
