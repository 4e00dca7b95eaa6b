import { OptionError } from "../base/errors.js";

/** Oldest IR version that carries each operator set (ONNX, docs/Versioning.md). */
const irVersions: Readonly<Record<number, number>> = {
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
  22: 10,
  23: 11,
};

/** The IR version of a model of an operator set. @throws OptionError for an operator set that is not supported. */
export function irVersionOf(opset: number): number {
  const version = irVersions[opset];
  if (version === undefined) {
    throw new OptionError(`opset is ${opset}; expected one of ${Object.keys(irVersions).join(", ")}`);
  }
  return version;
}

/** Versions of the operator sets beside the default one. They belong to ONNX Runtime. */
export const domainVersions: Readonly<Record<string, number>> = {
  "com.microsoft": 1,
  "com.microsoft.nchwc": 1,
};
