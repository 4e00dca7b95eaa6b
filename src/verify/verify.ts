import type { HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { type InputType, namedParameters, trace } from "../graph/model.js";
import { Tensor } from "../graph/tensor.js";
import { loadStateDict } from "../nn/state-dict.js";
import { gradientsOfMany } from "../ops/gradients.js";
import { compile } from "../runtime/executable.js";
import { type Comparison, compareTensors, toleranceFor } from "./compare.js";
import { compareGradientNorms, fillState, isFilled } from "./filled-state.js";
import { type GoldenCase, tensorsOf } from "./golden-case.js";
import { createSubject, type Subject } from "./subject.js";

/** Every comparison of a golden case: outputs, gradients, updated buffers and maps. */
export interface Verification {
  readonly mechanism: string;
  readonly comparisons: readonly Comparison[];
}

/** Roles of reference tensors, and the float32 error that sets their tolerance. */
const roles = {
  output: "output",
  map: "output",
  bufferAfter: "output",
  gradInput: "gradInput",
  gradParam: "gradParam",
} as const;

/**
 * Builds the case's mechanism or network, loads its tensors or fills it, runs it forward and backward, and compares outputs, gradients,
 * updated buffers and maps.
 * @throws OptionError for an unknown mechanism or refused options; FormatError where the case's tensors do not fit it; ShapeError and
 *   DataError for inputs that it refuses
 */
export async function verifyCase(golden: GoldenCase): Promise<Verification> {
  const subject = createSubject(golden);
  const { module } = subject;
  const filled = isFilled(golden) ? golden : undefined;
  if (filled) fillState(filled, module);
  else loadStateDict(module, new Map([...tensorsOf(golden, "param"), ...tensorsOf(golden, "buffer")]));
  const inputs = Object.fromEntries(golden.inputs.map((name) => [name, required(golden, `input.${name}`)]));
  for (const name of golden.outputs) required(golden, `output.${name}`);
  subject.checkValues(inputs);
  const computed = await compute({ golden, subject, inputs });
  const zero = new Set(golden.zeroGrads ?? []);
  const stored = Object.entries(roles).flatMap(([role, error]) =>
    [...tensorsOf(golden, role)].map(([key, reference]) => {
      const name = `${role}.${key}`;
      const rule = { tolerance: toleranceFor(golden.fp32Error[error]), zero: zero.has(name) };
      return compareTensors(name, computed[name], reference, rule);
    }),
  );
  const listed = filled ? compareGradientNorms(filled, module, computed) : [];
  return { mechanism: golden.mechanism, comparisons: [...stored, ...listed] };
}

function required(golden: GoldenCase, name: string): HostTensor {
  const tensor = golden.tensors.get(name);
  if (tensor) return tensor;
  throw new FormatError(
    `golden case has no tensor ${name}; it has ${[...golden.tensors.keys()].join(", ") || "none"}`,
  );
}

interface Task {
  readonly golden: GoldenCase;
  readonly subject: Subject;
  readonly inputs: Readonly<Record<string, HostTensor>>;
}

/** Values by role and name, from one graph with outputs, maps, gradients and updated buffers as outputs. */
async function compute(task: Task): Promise<Record<string, HostTensor>> {
  const { golden, subject, inputs } = task;
  const cotangents = [...tensorsOf(golden, "cotangent").keys()].map((name) => `cotangent.${name}`);
  const feeds = {
    ...inputs,
    ...Object.fromEntries(cotangents.map((name) => [name, required(golden, name)])),
  };
  const types = Object.fromEntries(
    Object.entries(feeds).map(([name, { shape, dtype }]): [string, InputType] => [name, { shape, dtype }]),
  );
  const graph = trace((leaves: Readonly<Record<string, Tensor>>) => forwardAndBackward(task, leaves), types, {
    training: golden.mode === "train",
    model: subject.module,
  });
  const maps = [...subject.maps(graph)].map(([name, tensor]) => [`map.${name}`, tensor] as const);
  const executable = await compile({ ...graph, outputs: new Map([...graph.outputs, ...maps]) });
  try {
    const { outputs, updates } = await executable.run(feeds);
    const updated = Object.entries(updates).map(([path, value]) => [`bufferAfter.${path}`, value]);
    return { ...outputs, ...Object.fromEntries(updated) };
  } finally {
    await executable.close();
  }
}

function forwardAndBackward(
  { golden, subject, inputs }: Task,
  leaves: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const given = Object.fromEntries(Object.keys(inputs).map((name) => [name, leaves[name]!]));
  const result = subject.call(given);
  const outputs = result instanceof Tensor ? { [golden.outputs[0]!]: result } : result;
  const targets = [
    ...Object.entries(given)
      .filter(([, leaf]) => leaf.dtype === "float32")
      .map(([name, leaf]) => [`gradInput.${name}`, leaf] as const),
    ...[...namedParameters(subject.module)].map(
      ([path, variable]) => [`gradParam.${path}`, variable] as const,
    ),
  ];
  const roots = [...tensorsOf(golden, "cotangent").keys()].map((name) => {
    const output = outputs[name];
    if (output) return { output, cotangent: leaves[`cotangent.${name}`]! };
    throw new FormatError(
      `golden case has a cotangent for ${name}; the outputs are ${Object.keys(outputs).join(", ")}`,
    );
  });
  const gradients = gradientsOfMany(
    roots,
    targets.map(([, tensor]) => tensor),
  );
  return {
    ...Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [`output.${name}`, tensor])),
    ...Object.fromEntries(targets.map(([name], index) => [name, gradients[index]!])),
  };
}
