import { OptionError } from "../base/errors.js";
import { version } from "../base/version.js";
import type { Graph } from "../graph/model.js";
import { type EmittedModel, emitModel } from "./emit.js";

/** Operator sets that exports may use. */
export const exportOpsets = [18, 19, 20, 21] as const;

/** Options of `exportOnnx`. */
export interface ExportOptions {
  /** Version of the default operator set, 18 to 21; 20 by default. */
  readonly opset?: number;
  /** Written into the model's metadata: classes, normalization and the like. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * A traced graph as an ONNX model of standard operators, its variables inside. Trace it with the symbolic `batch` for a model of any
 * batch size.
 * @throws OptionError for another operator set
 */
export function exportOnnx(graph: Graph, options: ExportOptions = {}): EmittedModel {
  const { opset = 20, metadata } = options;
  if (!exportOpsets.some((known) => known === opset)) {
    throw new OptionError(`opset is ${opset}; it must be one of ${exportOpsets.join(", ")}`);
  }
  return emitModel({
    target: { kind: "portable", opset },
    inputs: graph.inputs,
    variables: graph.variables,
    variablesAs: "initializers",
    outputs: graph.outputs,
    producerVersion: version,
    ...(metadata ? { metadata } : {}),
  });
}
