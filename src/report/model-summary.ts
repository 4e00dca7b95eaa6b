import { elementCount } from "../base/dtype.js";
import { type Graph, type Model, modelParts, namedParameters } from "../graph/model.js";
import type { Shape } from "../graph/size.js";
import { Tensor } from "../graph/tensor.js";
import { type ActivationMemory, activationMemoryByModule } from "./activation-memory.js";
import { graphCost } from "./cost.js";

/** What part of a model costs in a training step; multiply-accumulates are those of products and convolutions. */
export interface SummaryRow {
  readonly calls: number;
  readonly forwardMacs: number;
  readonly backwardMacs: number;
}

/** A module, with what lies below it. */
export interface ModuleSummary extends SummaryRow {
  /** Empty for the model itself. */
  readonly path: string;
  /** Name of its class. */
  readonly type: string;
  /** Shapes of what its calls return, in order; empty where it was not called. */
  readonly outputs: readonly Shape[];
  /** Trained values. */
  readonly parameters: number;
  /** Bytes of its intermediates, for the whole batch. */
  readonly activations: ActivationMemory;
}

/** An operator, wherever it is called. */
export interface OperatorSummary extends SummaryRow {
  readonly name: string;
}

/** A model by module and by operator. */
export interface ModelSummary {
  /** The model first, then its modules from the outside to the inside, in the order of its parts. */
  readonly modules: readonly ModuleSummary[];
  /** In the order of their cost, highest first. */
  readonly operators: readonly OperatorSummary[];
}

/** A forward pass and its gradients, traced with a concrete batch. */
export interface TracedPasses {
  readonly graph: Graph;
  /** Gradients of the parameters. */
  readonly gradients: readonly Tensor[];
}

/**
 * Sums up a model: shapes, parameters, multiply-accumulates of the forward and the backward pass, and activation memory.
 * @throws FoveaError for an operator without a cost rule; ShapeError for a symbolic batch
 */
export function modelSummary(model: Model, { graph, gradients }: TracedPasses): ModelSummary {
  const results = [...graph.outputs.values(), ...graph.updates.values()];
  const forward = graphCost(results);
  const both = graphCost([...results, ...gradients]);
  const memory = activationMemoryByModule(results, gradients);
  const none = { calls: 0, macs: 0 };
  const row = (key: string, costs: "byModule" | "byOperator"): SummaryRow => {
    const [first, all] = [forward[costs].get(key) ?? none, both[costs].get(key) ?? none];
    return { calls: all.calls, forwardMacs: first.macs, backwardMacs: all.macs - first.macs };
  };
  const parameters = [...namedParameters(model)];
  return {
    modules: [...modelParts(model)].map(([part, path]) => ({
      path,
      type: part.constructor.name,
      outputs: graph.calls.filter((call) => call.path === path).flatMap(({ result }) => shapesOf(result)),
      parameters: parameters
        .filter(([name]) => path === "" || name.startsWith(`${path}.`))
        .reduce((total, [, { shape }]) => total + elementCount(shape), 0),
      activations: memory.get(path) ?? { forward: 0, kept: 0 },
      ...row(path, "byModule"),
    })),
    operators: [...both.byOperator.keys()]
      .map((name) => ({ name, ...row(name, "byOperator") }))
      .sort((a, b) => b.forwardMacs + b.backwardMacs - a.forwardMacs - a.backwardMacs || b.calls - a.calls),
  };
}

/** Shapes of a tensor, or of a record of tensors. */
function shapesOf(result: unknown): Shape[] {
  const tensors = result instanceof Tensor ? [result] : Object.values((result as object | null) ?? {});
  return tensors.filter((tensor) => tensor instanceof Tensor).map(({ shape }) => shape);
}
