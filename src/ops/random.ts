import { OptionError } from "../base/errors.js";
import { type Distribution, noiseDType } from "../base/noise.js";
import { input } from "../graph/leaf.js";
import { concreteShape, normalizeAxes } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { requireTrace } from "../graph/trace.js";
import { mul } from "./arithmetic.js";
import { cast } from "./compare.js";

/** Random values that are drawn anew before each step, by a keyed hash of seed, stream and step. Needs a concrete shape. */
export function noise(
  shape: readonly number[],
  options: { distribution: Distribution; stream: string },
): Tensor {
  const trace = requireTrace("noise");
  return trace.addNoise(options.stream, options.distribution, (name) =>
    input(name, shape, noiseDType(options.distribution)),
  );
}

/** Refuses a share of dropped elements outside of [0, 1). */
export function checkDropoutRate(rate: number): void {
  if (!(rate >= 0 && rate < 1)) throw new OptionError(`dropout: rate is ${rate}; it must be in [0, 1)`);
}

/**
 * Zeros elements with probability `rate` and scales the others by 1 / (1 - rate). Along `sharedAxes` all elements share one fate
 * (axes 2 and 3: channel dropout). Srivastava et al.: Dropout, JMLR 2014.
 * @throws OptionError for a rate outside of [0, 1)
 */
export function dropout(
  x: Tensor,
  options: { rate: number; stream: string; sharedAxes?: readonly number[] },
): Tensor {
  const { rate, stream } = options;
  checkDropoutRate(rate);
  const sharedAxes = normalizeAxes(options.sharedAxes ?? [], x.rank);
  const shape = concreteShape(x.shape).map((size, axis) => (sharedAxes.includes(axis) ? 1 : size));
  const kept = noise(shape, { distribution: { bernoulli: 1 - rate }, stream });
  return mul(x, mul(cast(kept, { to: "float32" }), 1 / (1 - rate)));
}
