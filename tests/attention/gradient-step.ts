import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal, fillUniform } from "../../src/base/random.js";
import { constant } from "../../src/graph/constant.js";
import { type Graph, namedParameters } from "../../src/graph/model.js";
import { concreteShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { emitModel, sessionOpset } from "../../src/onnx/emit.js";
import { add, mul, sub } from "../../src/ops/arithmetic.js";
import { gradients } from "../../src/ops/gradients.js";
import { mean } from "../../src/ops/reduce.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { type Trial, traceCall, typesOf, valuesOf } from "./trial.js";

/** Loss before, and after one step along the gradient with respect to some of the values. */
export interface StepResult {
  readonly before: number;
  readonly after: number;
  /** Decrease that the gradient promises for a step of this length. */
  readonly promised: number;
}

/** Mean squared distance of the float32 outputs to random targets. */
function distance(outputs: Readonly<Record<string, Tensor>>): Tensor {
  return Object.entries(outputs)
    .filter(([, output]) => output.dtype === "float32")
    .map(([name, output]) => {
      const shape = concreteShape(output.shape);
      const target = new Float32Array(elementCount(shape));
      fillNormal(target, { seed: 3, stream: name, step: 0 });
      const difference = sub(output, constant(target, { shape }));
      return mean(mul(difference, difference), { axes: shape.map((_, axis) => axis), keepDims: false });
    })
    .reduce((total, part) => add(total, part));
}

/**
 * Takes one small step in training mode, with the same noise before and after: over the parameters, and over the float32 inputs.
 * One session does all: parameters and noise are its inputs.
 */
export async function gradientSteps(trial: Trial): Promise<{ parameters?: StepResult; inputs?: StepResult }> {
  const inputs = valuesOf(trial, trial.sizes);
  const graph = traceCall(trial, typesOf(trial, trial.sizes), {
    training: true,
    after: (outputs, leaves) => {
      const wrt = [
        ...Object.entries(leaves).filter(([, leaf]) => leaf.dtype === "float32"),
        ...Object.entries(trainable(trial)),
      ];
      const loss = distance(outputs);
      const found = gradients(
        loss,
        wrt.map(([, tensor]) => tensor),
      );
      return { loss, ...Object.fromEntries(wrt.map(([name], index) => [`gradient:${name}`, found[index]!])) };
    },
  });
  const noise = new Map(graph.noise.map(({ stream, tensor }) => [`noise:${stream}`, tensor]));
  const model = emitModel({
    target: { kind: "cpu", opset: sessionOpset },
    inputs: new Map([...graph.inputs, ...noise]),
    variables: graph.variables,
    variablesAs: "inputs",
    outputs: graph.outputs,
    producerVersion: "0.0.0",
  });
  const feeds: Record<string, HostTensor> = { ...inputs, ...noiseValues(graph) };
  for (const [path, { dtype, shape, value }] of graph.variables) feeds[path] = { dtype, shape, data: value };
  const used = new Set(model.usedInputs);
  const session = await defaultRuntime().createSession(model.bytes);
  try {
    const evaluate = (values: Record<string, HostTensor>) =>
      session.run(Object.fromEntries(Object.entries(values).filter(([name]) => used.has(name))));
    const first = await evaluate(feeds);
    const stepOver = async (names: readonly string[]): Promise<StepResult> => {
      const { moved, promised } = step(feeds, first, names);
      const second = await evaluate(moved);
      return { before: Number(first.loss!.data[0]), after: Number(second.loss!.data[0]), promised };
    };
    const parameterNames = Object.keys(trainable(trial));
    const inputNames = Object.keys(inputs).filter((name) => inputs[name]!.dtype === "float32");
    return {
      ...(parameterNames.length > 0 ? { parameters: await stepOver(parameterNames) } : {}),
      ...(inputNames.length > 0 ? { inputs: await stepOver(inputNames) } : {}),
    };
  } finally {
    await session.close();
  }
}

function trainable({ module }: Trial): Record<string, Tensor> {
  return Object.fromEntries([...namedParameters(module)]);
}

/** Values moved against their gradients, together by a small part of their length, or so far that the loss should fall by as small a part. */
function step(
  feeds: Readonly<Record<string, HostTensor>>,
  results: Readonly<Record<string, HostTensor>>,
  names: readonly string[],
): { moved: Record<string, HostTensor>; promised: number } {
  const gradientOf = (name: string) => results[`gradient:${name}`]!.data as Float32Array;
  const steepness = norm(names.map(gradientOf));
  const length = norm(names.map((name) => feeds[name]!.data as Float32Array));
  const distance = 0.003 * Math.min(length, Number(results.loss!.data[0]) / steepness);
  const moved = { ...feeds };
  for (const name of names) {
    const gradient = gradientOf(name);
    const { dtype, shape, data } = feeds[name]!;
    const values = data as Float32Array;
    const along = distance / steepness;
    moved[name] = { dtype, shape, data: values.map((value, at) => value - along * gradient[at]!) };
  }
  return { moved, promised: distance * steepness };
}

function norm(parts: readonly Float32Array[]): number {
  return Math.sqrt(parts.reduce((total, part) => part.reduce((sum, value) => sum + value * value, total), 0));
}

function noiseValues(graph: Graph): Record<string, HostTensor> {
  return Object.fromEntries(
    graph.noise.map(({ stream, tensor, distribution }) => {
      const shape = concreteShape(tensor.shape);
      const data = new Float32Array(elementCount(shape));
      const key = { seed: 4, stream, step: 0 };
      if (distribution === "uniform") fillUniform(data, key);
      else fillNormal(data, key);
      return [`noise:${stream}`, { dtype: "float32", shape, data } as const];
    }),
  );
}
