import type { HostTensor } from "../base/dtype.js";

/** How far a computed tensor is from its reference. */
export interface Comparison {
  /** Role and name of the tensor. */
  readonly name: string;
  /** max|a - b| / max|b|, or the absolute error of a vanishing reference; infinite for NaN, another shape or a missing value. */
  readonly error: number;
  readonly tolerance: number;
  readonly passed: boolean;
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
  rule: { readonly tolerance: number; readonly zero: boolean },
): Comparison {
  const scale = reference.dtype === "float32" ? largest(reference) : 1;
  const absolute = rule.zero || scale === 0;
  const exact = reference.dtype !== "float32";
  const tolerance = exact ? 0 : absolute ? vanishing : rule.tolerance;
  const difference = computed ? largestDifference(computed, reference) : Number.POSITIVE_INFINITY;
  const error = absolute || exact ? difference : difference / scale;
  return { name, error, tolerance, passed: error <= tolerance };
}

function largest({ data }: HostTensor): number {
  let result = 0;
  for (const value of data) result = Math.max(result, Math.abs(Number(value)));
  return result;
}

/** Largest difference of any element; equal infinities differ by 0, NaN by infinity. */
function largestDifference(a: HostTensor, b: HostTensor): number {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
  let result = 0;
  for (let index = 0; index < b.data.length; index++) {
    const [x, y] = [Number(a.data[index]), Number(b.data[index])];
    if (x === y) continue;
    const difference = Math.abs(x - y);
    result = Math.max(result, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return result;
}
