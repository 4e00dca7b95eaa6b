import * as z from "zod/mini";

/** An integer >= 1: channel counts, kernel sizes, numbers of heads. */
export const size = z.int().check(z.gte(1));

/** A finite number > 0. */
export const positive = z.number().check(z.gt(0));

/** An odd integer >= 1: kernels that keep the size. */
export const oddSize = size.check(z.refine((value) => value % 2 === 1, "must be odd"));

/** A probability of dropping in [0, 1). */
export const dropRate = z.number().check(z.gte(0), z.lt(1));

/** A flag with a default. */
export function flag(fallback: boolean) {
  return z._default(z.boolean(), fallback);
}

/** An option that may be absent or null. */
export function optional<S extends z.core.SomeType>(schema: S) {
  return z.nullish(schema);
}
