import { version } from "../base/version.js";
import { ancestors } from "../graph/ancestors.js";
import type { Tensor } from "../graph/tensor.js";
import { emitModel } from "../onnx/emit.js";
import { mul } from "../ops/arithmetic.js";
import { sum } from "../ops/reduce.js";
import { namedNoise, noiseInputs } from "../runtime/noise.js";
import type { Noise } from "../runtime/types.js";
import type { NonFiniteValue } from "./errors.js";
import { batchInputs, hostInputs, type TrainingStep, variableState } from "./training-step.js";

/** A model that tells which values of a training step are not finite. */
export interface Diagnostics {
  readonly bytes: Uint8Array;
  readonly fed: ReadonlySet<string>;
  readonly noise: readonly Noise[];
  /** The values in the order of computation; the output of each is 0 where all its elements are finite, else not a number. */
  readonly suspects: readonly { readonly value: NonFiniteValue; readonly output: string }[];
}

/**
 * The same trace as the training step's, with a check of every tap, every module's output, the loss and every gradient in place of
 * the update.
 */
export function buildDiagnostics({ traced, gradients, target, stages }: TrainingStep): Diagnostics {
  const { graph, loss } = traced;
  const taps = [...graph.taps].map(([path, tensor]) => ({ value: { kind: "tap", path }, tensor }) as const);
  const modules = moduleOutputs([loss, ...graph.taps.values()]).map(
    (tensor) => ({ value: { kind: "module", path: tensor.scope }, tensor }) as const,
  );
  const forward = [...taps, ...modules, { value: { kind: "loss", path: "" }, tensor: loss } as const];
  const backward = [...gradients].map(
    ([path, tensor]) => ({ value: { kind: "gradient", path }, tensor }) as const,
  );
  // Ids follow the order of computation; sorting is stable, so that a tap precedes the module whose output it is.
  const byId = (a: { tensor: Tensor }, b: { tensor: Tensor }) => a.tensor.id - b.tensor.id;
  const checked = [...forward.sort(byId), ...backward.sort(byId)].filter(
    ({ tensor }) => tensor.dtype === "float32",
  );
  const suspects = checked.map(({ value }, index) => ({ value, output: `check:${index}` }));
  const fed = new Map([...batchInputs(traced), ...hostInputs(stages)]);
  const { bytes, usedInputs } = emitModel({
    target,
    inputs: new Map([...fed, ...namedNoise(graph)]),
    variables: new Map(
      [...graph.variables].map(([path, variable]) => [variableState(path, variable), variable]),
    ),
    variablesAs: "inputs",
    outputs: new Map(
      checked.map(({ tensor }, index) => [suspects[index]!.output, sum(mul(tensor, 0), { keepDims: false })]),
    ),
    producerVersion: version,
  });
  const used = new Set(usedInputs);
  return {
    bytes,
    fed: new Set([...fed.keys()].filter((name) => used.has(name))),
    noise: noiseInputs(graph, used),
    suspects,
  };
}

/** Tensors that leave the module in which they were computed. */
function moduleOutputs(roots: readonly Tensor[]): Tensor[] {
  const leaving = new Set<Tensor>();
  for (const consumer of ancestors(roots)) {
    for (const tensor of consumer.inputs) {
      const inside = consumer.scope === tensor.scope || consumer.scope.startsWith(`${tensor.scope}.`);
      if (tensor.scope !== "" && tensor.inputs.length > 0 && !inside) leaving.add(tensor);
    }
  }
  return [...leaving];
}
