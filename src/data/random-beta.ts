import { type RandomKey, randomUniform } from "../base/random.js";

/** A number of the distribution Beta(alpha, alpha), from 0 to 1; alpha is above 0. */
export function randomBeta(alpha: number, key: RandomKey): number {
  const first = logGamma(alpha, { ...key, stream: `${key.stream}.gamma.0` });
  const second = logGamma(alpha, { ...key, stream: `${key.stream}.gamma.1` });
  // X / (X + Y) of two gamma variates; logarithms, since those of a small alpha are too small for doubles.
  return 1 / (1 + Math.exp(second - first));
}

/** The logarithm of a Gamma(alpha, 1) variate. Marsaglia and Tsang: A simple method for generating gamma variables, 2000. */
function logGamma(alpha: number, key: RandomKey): number {
  let index = 0;
  // Never 0, whose logarithm is not finite.
  const uniform = () => 1 - randomUniform(key, index++);
  // Below 1 a variate of alpha + 1 is scaled by a uniform number's 1 / alpha-th power (section 6 there).
  const boost = alpha < 1 ? Math.log(uniform()) / alpha : 0;
  const d = (alpha < 1 ? alpha + 1 : alpha) - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const normal = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const v = (1 + c * normal) ** 3;
    const accepted = Math.log(uniform());
    if (v > 0 && accepted < 0.5 * normal ** 2 + d - d * v + d * Math.log(v)) return boost + Math.log(d * v);
  }
}
