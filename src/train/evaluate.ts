import { DataError } from "../base/errors.js";
import type { Loader } from "../data/loader.js";
import type { Runtime, SessionOptions } from "../runtime/types.js";
import { CompiledObjective } from "./compiled-objective.js";
import { ConfusionMatrix } from "./confusion-matrix.js";
import { type EvaluationData, evaluationData } from "./data.js";
import { objectiveOf, type Task } from "./objective.js";
import { RunningAverages } from "./running-averages.js";

/** What to evaluate on, and where. */
export interface EvaluateSettings {
  readonly data: Loader | EvaluationData;
  /** Device and threads of the session. */
  readonly session?: SessionOptions;
  readonly runtime?: Runtime;
}

export type EvaluateOptions = Task & EvaluateSettings;

/** How a model did on a data set. */
export interface EvaluationResult {
  readonly samples: number;
  /** Mean of the batches' losses, weighted by their samples. */
  readonly loss: number;
  /** Per sample. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Where the model classifies. */
  readonly confusion?: ConfusionMatrix;
}

/**
 * Evaluates a model, with the values that its variables have, over a data set.
 * @throws DataError for an empty data set or labels that are no class; OptionError, ShapeError, DeviceError
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationResult> {
  const { model, data, runtime, session } = options;
  const objective = objectiveOf(options);
  const averages = new RunningAverages();
  let confusion: ConfusionMatrix | undefined;
  let compiled: CompiledObjective | undefined;
  try {
    for await (const batch of evaluationData(data).batches()) {
      if (!compiled?.fits(batch)) {
        // All batches but the last have one shape, so that one session is held at a time and two are made.
        await compiled?.close();
        compiled = await CompiledObjective.create(model, objective, batch, {
          ...session,
          ...(runtime ? { runtime } : {}),
        });
      }
      const { samples, loss, metrics, predictions } = await compiled.run(batch);
      averages.addSums({ ...metrics, loss: loss * samples }, samples);
      if (compiled.classification && predictions) {
        const { labels, classes } = compiled.classification;
        confusion ??= new ConfusionMatrix(classes);
        confusion.add(batch[labels]!.data, predictions);
      }
    }
  } finally {
    await compiled?.close();
  }
  if (averages.weight === 0) throw new DataError("evaluate: the data set is empty");
  const { loss, ...metrics } = averages.averages();
  return { samples: averages.weight, loss: loss!, metrics, ...(confusion ? { confusion } : {}) };
}
