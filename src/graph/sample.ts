import type { DType } from "../base/dtype.js";

/** Values for which finite differences of an operator are valid. */
export type Domain =
  /** Standard normal. */
  | "smooth"
  /** Uniform in [0.5, 2]. */
  | "positive"
  /** Normal, at least 0.2 away from each value. */
  | { readonly awayFrom: readonly number[] }
  /** All values at least this far apart (max, sort). */
  | { readonly distinct: number };

/** One input of a sample. */
export interface SampleInput {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  readonly domain?: Domain;
  /** Exclusive bound of int64 values, which start at 0. */
  readonly below?: number;
}

/** Inputs and attributes with which the generic tests try an operator. */
export interface Sample<A> {
  /** Shapes of float32 inputs, or full descriptions. */
  readonly inputs: readonly (readonly number[] | SampleInput)[];
  readonly attributes?: A;
  /** Domain of the inputs that name none; `smooth` by default. */
  readonly domain?: Domain;
}
