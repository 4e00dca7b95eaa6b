import { elementCount, type HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { initialize, type Model, namedVariables } from "../graph/model.js";
import { formatShape, sameShape } from "../graph/size.js";

/** Values of a model's parameters and buffers, by path. */
export type StateDict = ReadonlyMap<string, HostTensor>;

/** What did not fit when a state dict was loaded. */
export interface LoadReport {
  /** Paths of the model without a value, optional ones left out. */
  readonly missing: readonly string[];
  /** Keys that the model has no place for. */
  readonly unused: readonly string[];
  /** Keys with another shape or dtype, and how they differ. */
  readonly mismatched: readonly string[];
}

/** Copies of a model's parameters and buffers; variables without a value get their initial one. */
export function stateDict(model: Model): Map<string, HostTensor> {
  initialize(model);
  return new Map(
    [...namedVariables(model)].map(([path, { dtype, shape, value }]) => [
      path,
      { dtype, shape, data: value.slice() },
    ]),
  );
}

/**
 * Loads values into a model. Nothing is changed where it throws.
 * @param options.strict refuses missing, unused and mis-shaped keys (true by default); else what fits is loaded
 * @returns what did not fit
 * @throws FormatError that names every key that does not fit
 */
export function loadStateDict(
  model: Model,
  values: StateDict,
  options: { strict?: boolean } = {},
): LoadReport {
  const variables = namedVariables(model);
  const missing = [...variables]
    .filter(([path, { optional }]) => !optional && !values.has(path))
    .map(([path]) => path);
  const unused = [...values.keys()].filter((key) => !variables.has(key));
  const fitting: [path: string, value: HostTensor][] = [];
  const mismatched: string[] = [];
  for (const [path, { dtype, shape }] of variables) {
    const found = values.get(path);
    if (!found) continue;
    const same = found.dtype === dtype && sameShape(found.shape, shape);
    if (same && found.data.length === elementCount(shape)) fitting.push([path, found]);
    else {
      const held = `${found.dtype} ${formatShape(found.shape)} of ${found.data.length} values`;
      mismatched.push(`${path}: expected ${dtype} ${formatShape(shape)}, found ${held}`);
    }
  }
  if ((options.strict ?? true) && missing.length + unused.length + mismatched.length > 0) {
    const parts = [
      missing.length > 0 ? `missing: ${missing.join(", ")}` : "",
      unused.length > 0 ? `unused: ${unused.join(", ")}` : "",
      mismatched.length > 0 ? `mis-shaped: ${mismatched.join("; ")}` : "",
    ];
    throw new FormatError(
      `state dict does not fit the model; ${parts.filter((part) => part !== "").join("; ")}`,
    );
  }
  for (const [path, { data }] of fitting) variables.get(path)!.value = data.slice();
  return { missing, unused, mismatched };
}
