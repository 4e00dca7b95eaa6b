import { OptionError } from "../base/errors.js";
import type { Model } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { argMax } from "../ops/reduce.js";
import type { Loss } from "./losses.js";
import { correctCount, type Metric } from "./metrics.js";

/** What a model is trained for, computed from a batch. */
export interface ObjectiveResult {
  /** Scalar, the mean over the batch. */
  readonly loss: Tensor;
  /** Scalars by name, each summed over the batch's samples; reported per sample. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
  /** Classification: which input holds the labels (int64), how many classes there are, and the predicted ones (int64, shaped alike). */
  readonly classification?: {
    readonly labels: string;
    readonly classes: number;
    readonly predictions: Tensor;
  };
}

/** Loss and metrics of a batch, whose tensors come by name. Traced in training and in evaluation mode. */
export type Objective = (inputs: Readonly<Record<string, Tensor>>) => ObjectiveResult;

/** A model of one tensor. */
export type SupervisedModel = Model & { forward(x: Tensor): Tensor };

/** What is learned from pairs of input and target. */
export interface Supervised {
  readonly model: SupervisedModel;
  readonly loss: Loss;
  /** By name; `accuracy` by default where the targets are labels (int64) and the output class scores. */
  readonly metrics?: Readonly<Record<string, Metric>>;
}

/** A model and what it is for: pairs under a loss, or an objective of your own. */
export type Task =
  | (Supervised & { readonly objective?: never })
  | { readonly model: Model; readonly objective: Objective; readonly loss?: never; readonly metrics?: never };

/** The objective of a task. @throws OptionError where both a loss and an objective are given, or neither */
export function objectiveOf(task: Task): Objective {
  const { loss, objective } = task;
  if ((loss === undefined) === (objective === undefined)) {
    throw new OptionError("either a loss or an objective is needed, and not both");
  }
  return objective ?? supervised(task as Supervised);
}

/** The objective of pairs: `x` goes to the model, `y` are its targets. */
export function supervised({ model, loss, metrics }: Supervised): Objective {
  return (inputs) => {
    const { x, y } = inputs;
    if (!x || !y) {
      throw new OptionError(`a batch of pairs holds x and y; found ${Object.keys(inputs).join(", ")}`);
    }
    const output = model.forward(x);
    const classifies = y.dtype === "int64" && output.rank >= 2 && y.rank === output.rank - 1;
    const chosen = metrics ?? (classifies && y.rank === 1 ? { accuracy: correctCount } : {});
    return {
      loss: loss(output, y),
      metrics: Object.fromEntries(Object.entries(chosen).map(([name, metric]) => [name, metric(output, y)])),
      ...(classifies
        ? {
            classification: {
              labels: "y",
              classes: output.size(1),
              predictions: argMax(output, { axis: 1, keepDims: false }),
            },
          }
        : {}),
    };
  };
}
