import { fillBernoulli } from "./bernoulli.js";
import { type DType, elementCount, type HostTensor, hostArray } from "./dtype.js";
import { fillNormal, fillUniform, type RandomKey } from "./random.js";

/** How random values are distributed: uniform in [0, 1), standard normal, or bools that are true with a probability. */
export type Distribution = "uniform" | "normal" | { readonly bernoulli: number };

/** The dtype of random values: float32, for a Bernoulli distribution bool. */
export function noiseDType(distribution: Distribution): DType {
  return typeof distribution === "object" ? "bool" : "float32";
}

/** A tensor for random values, to be filled. */
export function noiseTensor(distribution: Distribution, shape: readonly number[]): HostTensor {
  const dtype = noiseDType(distribution);
  return { dtype, shape, data: hostArray(dtype, elementCount(shape)) };
}

/** Fills a tensor of `noiseTensor` with the key's values. */
export function fillNoise({ data }: HostTensor, distribution: Distribution, key: RandomKey): void {
  if (typeof distribution === "object") fillBernoulli(data as Uint8Array, key, distribution.bernoulli);
  else if (distribution === "uniform") fillUniform(data as Float32Array, key);
  else fillNormal(data as Float32Array, key);
}
