import { type Graph, namedParameters, parameterCount, trace } from "../../graph/model.js";
import type { Tensor } from "../../graph/tensor.js";
import { gradientsOfMany } from "../../ops/gradients.js";
import { mean } from "../../ops/reduce.js";
import { type ActivationMemory, activationMemory } from "../../report/activation-memory.js";
import { graphCost } from "../../report/cost.js";
import type { Contestant } from "./contestant.js";

/** What a mechanism costs by its graph. */
export interface Cost {
  readonly parameters: number;
  /** Multiply-accumulates of products and convolutions of a forward pass, of one image. */
  readonly macs: number;
  /** Of a forward pass in training mode, for the whole batch. */
  readonly activations: ActivationMemory;
}

/** The graphs that are timed, and what they cost. The outputs are means of the results: nothing large has to be copied. */
export interface Passes {
  /** In evaluation mode. */
  readonly forward: Graph;
  /** Forward in training mode, and the gradients of all parameters and inputs. */
  readonly training: Graph;
  readonly cost: Cost;
}

/** Traces a contestant. @throws ShapeError where the image does not fit it */
export function tracePasses(contestant: Contestant): Passes {
  const { module, inputs } = contestant;
  let outputs: Readonly<Record<string, Tensor>> = {};
  const forward = trace(
    (leaves: Readonly<Record<string, Tensor>>) => {
      outputs = floats(contestant.forward(leaves));
      return means(Object.values(outputs));
    },
    inputs,
    { model: module },
  );
  const { macs } = graphCost(Object.values(outputs));
  const cotangents = Object.entries(outputs).map(
    ([name, { shape }]) => [`cotangent:${name}`, { shape }] as const,
  );
  let results: readonly Tensor[] = [];
  let slopes: readonly Tensor[] = [];
  const training = trace(
    (leaves: Readonly<Record<string, Tensor>>) => {
      const given = Object.fromEntries(Object.keys(inputs).map((name) => [name, leaves[name]!]));
      const made = floats(contestant.forward(given));
      results = Object.values(made);
      slopes = gradientsOfMany(
        Object.entries(made).map(([name, output]) => ({ output, cotangent: leaves[`cotangent:${name}`]! })),
        [...Object.values(floats(given)), ...namedParameters(module).values()],
      );
      return means(slopes);
    },
    { ...inputs, ...Object.fromEntries(cotangents) },
    { model: module, training: true },
  );
  const [batch] = Object.values(inputs)[0]!.shape as [number];
  return {
    forward,
    training,
    cost: {
      parameters: parameterCount(module),
      macs: macs / batch,
      activations: activationMemory([...results, ...training.updates.values()], slopes),
    },
  };
}

function floats(tensors: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>> {
  return Object.fromEntries(Object.entries(tensors).filter(([, { dtype }]) => dtype === "float32"));
}

function means(tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(
    tensors.map((tensor, index) => [`mean${index}`, mean(tensor, { keepDims: false })]),
  );
}
