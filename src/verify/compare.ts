import type { HostTensor } from "../base/dtype.js";

/** How far a computed tensor is from its reference. */
export interface Comparison {
  /** Role and name of the tensor. */
  readonly name: string;
  /** max|a - b| / max|b|, or the absolute error of a vanishing reference; infinite for NaN, another type or a missing value. */
  readonly error: number;
  readonly tolerance: number;
  readonly passed: boolean;
  /** What is wrong, where it did not pass: the element with the largest difference, or the two types. */
  readonly problem?: string;
}

/** Absolute tolerance of references that vanish in exact arithmetic. */
const vanishing = 1e-4;

/** Relative tolerance of float32 values, from what PyTorch's own float32 run deviates. */
export function toleranceFor(fp32Error: number): number {
  return Math.min(Math.max(1e-5, 30 * fp32Error), 1e-3);
}

/** Compares a computed tensor with its reference. int64 and bool must be equal. */
export function compareTensors(
  name: string,
  computed: HostTensor | undefined,
  reference: HostTensor,
  rule: { readonly tolerance: number; readonly zero?: boolean },
): Comparison {
  const exact = reference.dtype !== "float32";
  const scale = exact ? 0 : largest(reference);
  const absolute = rule.zero || scale === 0;
  const tolerance = exact ? 0 : absolute ? vanishing : rule.tolerance;
  const { value, problem } = largestDifference(computed, reference);
  const error = absolute ? value : value / scale;
  return error <= tolerance
    ? { name, error, tolerance, passed: true }
    : { name, error, tolerance, passed: false, problem };
}

/** The comparison that is farthest beyond, or nearest to, its tolerance. */
export function worstOf(comparisons: readonly Comparison[]): Comparison | undefined {
  const excess = ({ error, tolerance }: Comparison) => (error === 0 ? 0 : error / tolerance);
  return comparisons.reduce<Comparison | undefined>(
    (worst, next) => (worst && excess(worst) >= excess(next) ? worst : next),
    undefined,
  );
}

/** Largest magnitude of a finite value. */
function largest({ data }: HostTensor): number {
  let result = 0;
  for (const value of data) {
    const size = Math.abs(Number(value));
    if (size > result && size < Number.POSITIVE_INFINITY) result = size;
  }
  return result;
}

/** Largest difference of any element; equal infinities differ by 0, NaN by infinity. */
function largestDifference(
  computed: HostTensor | undefined,
  reference: HostTensor,
): { value: number; problem: string } {
  const infinite = (problem: string) => ({ value: Number.POSITIVE_INFINITY, problem });
  if (!computed) return infinite("missing");
  const [found, expected] = [computed, reference].map(({ dtype, shape }) => `${dtype} [${shape.join(", ")}]`);
  if (found !== expected) return infinite(`expected ${expected}, found ${found}`);
  let value = 0;
  let at = 0;
  for (let index = 0; index < reference.data.length; index++) {
    const difference = differenceOf(computed.data[index]!, reference.data[index]!);
    if (difference > value) [value, at] = [difference, index];
  }
  return { value, problem: `expected ${reference.data[at]}, found ${computed.data[at]} at index ${at}` };
}

function differenceOf(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  if (typeof a === "bigint" && typeof b === "bigint") return Math.abs(Number(a - b));
  const difference = Math.abs(Number(a) - Number(b));
  return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
}
