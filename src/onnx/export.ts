import { OptionError } from "../base/errors.js";
import { version } from "../base/version.js";
import type { Graph } from "../graph/model.js";
import { selectTaps } from "../graph/select-taps.js";
import { type EmittedModel, emitModel } from "./emit.js";
import { foldBatchNorm } from "./fold-batch-norm.js";

/** Operator sets that exports may use. */
export const exportOpsets = [18, 19, 20, 21] as const;

/** The operator set of exports where none is asked for. */
export const defaultExportOpset = 20;

/** Options of `exportOnnx`. */
export interface ExportOptions {
  /** Version of the default operator set, 18 to 21; 20 by default. */
  readonly opset?: number;
  /** Patterns of taps that become outputs under their own names, `*` for any characters: `"*.attention"`. */
  readonly taps?: readonly string[];
  /** Merges normalizations by running statistics into the convolutions before them; true by default. */
  readonly foldBatchNorm?: boolean;
  /** Written into the model's metadata: classes, normalization and the like. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Refuses an operator set that exports do not use. @throws OptionError */
export function checkExportOpset(opset: number): void {
  if (exportOpsets.some((known) => known === opset)) return;
  throw new OptionError(`opset is ${opset}; it must be one of ${exportOpsets.join(", ")}`);
}

/**
 * A traced graph as an ONNX model of standard operators, its variables inside. Trace it with the symbolic `batch` for a model of any
 * batch size; the size of images is that of the trace.
 * @throws OptionError for another operator set, a tap that does not exist or has the name of an output
 */
export function exportOnnx(graph: Graph, options: ExportOptions = {}): EmittedModel {
  const { opset = defaultExportOpset, taps = [], foldBatchNorm: fold = true, metadata } = options;
  checkExportOpset(opset);
  const tapped = selectTaps(graph, taps);
  for (const name of tapped.keys()) {
    if (graph.outputs.has(name)) throw new OptionError(`tap ${name} has the name of an output`);
  }
  const whole = { outputs: new Map([...graph.outputs, ...tapped]), variables: graph.variables };
  const { outputs, variables } = fold ? foldBatchNorm(whole) : whole;
  return emitModel({
    target: { kind: "portable", opset },
    inputs: graph.inputs,
    variables,
    variablesAs: "initializers",
    outputs,
    producerVersion: version,
    ...(metadata ? { metadata } : {}),
  });
}
