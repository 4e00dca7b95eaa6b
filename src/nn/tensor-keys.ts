import { elementCount, type HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { formatShape, sameShape } from "../graph/size.js";

/** How named tensors differ from those that are expected. */
export interface LoadReport {
  /** Expected names without a tensor, optional ones left out. */
  readonly missing: readonly string[];
  /** Keys that there is no place for. */
  readonly unused: readonly string[];
  /** Keys with another shape or dtype, and how they differ. */
  readonly mismatched: readonly string[];
}

/** A tensor as it is expected. */
export interface ExpectedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** May be missing. */
  readonly optional?: boolean;
}

/** Compares named tensors with the expected ones. */
export function compareTensorKeys(
  found: ReadonlyMap<string, HostTensor>,
  expected: ReadonlyMap<string, ExpectedTensor>,
): LoadReport {
  return {
    missing: [...expected]
      .filter(([name, { optional }]) => !optional && !found.has(name))
      .map(([name]) => name),
    unused: [...found.keys()].filter((name) => !expected.has(name)),
    mismatched: [...expected].flatMap(([name, { dtype, shape }]) => {
      const tensor = found.get(name);
      if (!tensor || fitsTensor(tensor, { dtype, shape })) return [];
      const held = `${tensor.dtype} ${formatShape(tensor.shape)} of ${tensor.data.length} values`;
      return [`${name}: expected ${dtype} ${formatShape(shape)}, found ${held}`];
    }),
  };
}

/** Whether a tensor has the expected dtype and shape, and as many values as its shape says. */
export function fitsTensor(tensor: HostTensor, { dtype, shape }: ExpectedTensor): boolean {
  return (
    tensor.dtype === dtype && sameShape(tensor.shape, shape) && tensor.data.length === elementCount(shape)
  );
}

/** Refuses tensors that are not exactly the expected ones. @throws FormatError that names every key that does not fit */
export function requireFit(what: string, { missing, unused, mismatched }: LoadReport): void {
  const lists = {
    missing: missing.join(", "),
    unused: unused.join(", "),
    "mis-shaped": mismatched.join("; "),
  };
  const problems = Object.entries(lists).flatMap(([problem, keys]) =>
    keys === "" ? [] : [`${problem}: ${keys}`],
  );
  if (problems.length > 0) throw new FormatError(`${what} does not fit the model; ${problems.join("; ")}`);
}
