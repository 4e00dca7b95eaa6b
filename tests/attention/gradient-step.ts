import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { constant } from "../../src/graph/constant.js";
import { type Graph, namedParameters } from "../../src/graph/model.js";
import { concreteShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { sessionOpset } from "../../src/onnx/emit.js";
import { add, mul, sub } from "../../src/ops/arithmetic.js";
import { gradients } from "../../src/ops/gradients.js";
import { mean } from "../../src/ops/reduce.js";
import { emitStagedModel, HostStageSessions } from "../../src/runtime/host-stages.js";
import { namedNoise, noiseInputs } from "../../src/runtime/noise.js";
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

/** The call in training mode: outputs `loss`, and `gradient:NAME` with respect to each float32 input and each parameter. */
export function traceGradients(trial: Trial): Graph {
  return traceCall(trial, typesOf(trial, trial.sizes), {
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
}

/**
 * Takes one small step in training mode, with the same noise before and after: over the parameters, and over the float32 inputs.
 * The same sessions do all: parameters are their inputs.
 */
export async function gradientSteps(trial: Trial): Promise<{ parameters?: StepResult; inputs?: StepResult }> {
  const inputs = valuesOf(trial, trial.sizes);
  const graph = traceGradients(trial);
  const model = emitStagedModel(
    {
      target: { kind: "cpu", opset: sessionOpset },
      inputs: new Map([...graph.inputs, ...namedNoise(graph)]),
      variables: graph.variables,
      variablesAs: "inputs",
      outputs: graph.outputs,
      producerVersion: "0.0.0",
    },
    graph,
  );
  const feeds: Record<string, HostTensor> = { ...inputs };
  for (const [path, { dtype, shape, value }] of graph.variables) feeds[path] = { dtype, shape, data: value };
  const used = new Set(model.usedInputs);
  const runtime = defaultRuntime();
  const session = await runtime.createSession(model.bytes);
  const hostStages = await HostStageSessions.create(model.stages, runtime, {});
  const state = await runtime.createState({});
  const keys = { seed: 4, step: 0 };
  try {
    const evaluate = async (values: Record<string, HostTensor>) => {
      const fromHost = await hostStages.run(state, { feeds: values, ...keys });
      const known = Object.entries({ ...values, ...fromHost });
      return session.step(state, {
        feeds: Object.fromEntries(known.filter(([name]) => used.has(name))),
        fetches: [...graph.outputs.keys()],
        next: {},
        noise: noiseInputs(graph, used),
        ...keys,
      });
    };
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
    await hostStages.close();
    await state.close();
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
