import type { HostTensor } from "../base/dtype.js";
import { initialize, type Model, namedVariables } from "../graph/model.js";
import { compareTensorKeys, fitsTensor, type LoadReport, requireFit } from "./tensor-keys.js";

/** Values of a model's parameters and buffers, by path. */
export type StateDict = ReadonlyMap<string, HostTensor>;

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
  const report = compareTensorKeys(values, variables);
  if (options.strict ?? true) requireFit("state dict", report);
  for (const [path, variable] of variables) {
    const tensor = values.get(path);
    if (tensor && fitsTensor(tensor, variable)) variable.value = tensor.data.slice();
  }
  return report;
}
