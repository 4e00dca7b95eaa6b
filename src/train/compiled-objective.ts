import type { Model } from "../graph/model.js";
import { type CompileOptions, compile, type Executable } from "../runtime/executable.js";
import { batchTypes, checkLabels, sampleCount, type TrainingBatch } from "./data.js";
import type { Objective, ObjectiveResult } from "./objective.js";
import { traceObjective } from "./traced-objective.js";

/** What a batch came to. */
export interface BatchEvaluation {
  readonly samples: number;
  readonly loss: number;
  /** Sums over the samples, by name. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Predicted classes, where the model classifies. */
  readonly predictions?: BigInt64Array;
}

/** An objective in evaluation mode for batches of one shape, with the model's present weights inside. */
export class CompiledObjective {
  readonly classification: ObjectiveResult["classification"];
  readonly #executable: Executable;
  readonly #types: string;

  private constructor(
    executable: Executable,
    types: string,
    classification: ObjectiveResult["classification"],
  ) {
    this.#executable = executable;
    this.#types = types;
    this.classification = classification;
  }

  static async create(
    model: Model,
    objective: Objective,
    batch: TrainingBatch,
    options: CompileOptions,
  ): Promise<CompiledObjective> {
    const types = batchTypes(batch);
    const { graph, loss, metrics, classification } = traceObjective(model, objective, types, {
      training: false,
    });
    const outputs = new Map([
      [names.loss, loss],
      ...[...metrics].map(([name, tensor]) => [names.metric + name, tensor] as const),
      ...(classification ? [[names.predictions, classification.predictions] as const] : []),
    ]);
    const executable = await compile({ ...graph, outputs, updates: new Map() }, options);
    return new CompiledObjective(executable, JSON.stringify(types), classification);
  }

  /** Whether a batch has the tensors, shapes and dtypes that this was compiled for. */
  fits(batch: TrainingBatch): boolean {
    return JSON.stringify(batchTypes(batch)) === this.#types;
  }

  /** @throws DataError for labels that are no class */
  async run(batch: TrainingBatch): Promise<BatchEvaluation> {
    const { classification } = this;
    if (classification) checkLabels(batch, classification.labels, classification.classes);
    const { outputs } = await this.#executable.run(batch);
    const metrics = Object.entries(outputs).filter(([name]) => name.startsWith(names.metric));
    return {
      samples: sampleCount(batch),
      loss: Number(outputs[names.loss]!.data[0]),
      metrics: Object.fromEntries(
        metrics.map(([name, { data }]) => [name.slice(names.metric.length), Number(data[0])]),
      ),
      ...(classification ? { predictions: outputs[names.predictions]!.data as BigInt64Array } : {}),
    };
  }

  async close(): Promise<void> {
    await this.#executable.close();
  }
}

const names = { loss: "loss", metric: "metric:", predictions: "predictions" } as const;
