import { FoveaError, OptionError, ShapeError } from "../base/errors.js";
import { type Graph, type InputType, type Model, namedParameters, trace } from "../graph/model.js";
import { formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { Objective, ObjectiveResult } from "./objective.js";

/** An objective as graph. */
export interface TracedObjective {
  readonly graph: Graph;
  readonly loss: Tensor;
  /** Sums over the samples, by name. */
  readonly metrics: ReadonlyMap<string, Tensor>;
  readonly classification: ObjectiveResult["classification"];
}

/**
 * Traces an objective in training or evaluation mode.
 * @throws OptionError where the loss or a metric is no float32 scalar
 */
export function traceObjective(
  model: Model,
  objective: Objective,
  inputs: Readonly<Record<string, InputType>>,
  options: { readonly training: boolean },
): TracedObjective {
  let result: ObjectiveResult | undefined;
  const body = (tensors: Readonly<Record<string, Tensor>>) => {
    result = objective(tensors);
    return { loss: result.loss };
  };
  const graph = trace(body as (tensors: never) => { loss: Tensor }, inputs, { ...options, model });
  if (result === undefined) throw new FoveaError("the objective was not traced");
  const { loss, metrics = {}, classification } = result;
  for (const [name, tensor] of [["loss", loss] as const, ...Object.entries(metrics)]) {
    if (tensor.rank !== 0 || tensor.dtype !== "float32") {
      throw new ShapeError(
        `${name} must be a float32 scalar, found ${tensor.dtype} ${formatShape(tensor.shape)}`,
      );
    }
  }
  if ("loss" in metrics) throw new OptionError("a metric cannot be named loss");
  if (classification && !(classification.labels in inputs)) {
    throw new OptionError(`the labels are to be input ${classification.labels}, which does not exist`);
  }
  const trained = new Set<Tensor>(namedParameters(model).values());
  for (const [variable] of graph.updates) {
    if (trained.has(variable))
      throw new FoveaError("the forward pass updates a trained parameter; use a buffer");
  }
  return { graph, loss, metrics: new Map(Object.entries(metrics)), classification };
}
