import { checkInteger } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import type { Loader } from "../data/loader.js";
import { type Checkpoint, readCheckpoint, weightsOf, writeCheckpoint } from "./checkpoint.js";
import {
  batchesOf,
  batchTypes,
  type EvaluationData,
  sampleCount,
  type TrainingBatch,
  type TrainingData,
  trainingData,
} from "./data.js";
import { NonFiniteError } from "./errors.js";
import { evaluate } from "./evaluate.js";
import type { EndReason, FitEvent } from "./events.js";
import type { FitOptions, FitResult } from "./fit-options.js";
import { checkEarlyStopping, checkWatched, defaultWatch, ImprovementWatch } from "./improvement.js";
import { type Objective, objectiveOf } from "./objective.js";
import { checkSameRun, runLength } from "./run-options.js";
import { RunningAverages } from "./running-averages.js";
import { Trainer } from "./trainer.js";

/** A run under way. */
export class FitRun {
  readonly #options: FitOptions;
  readonly #objective: Objective;
  readonly #data: TrainingData;
  readonly #trainer: Trainer;
  readonly #totalSteps: number;
  readonly #samplesPerStep: number;
  readonly #started = performance.now();
  #averages = new RunningAverages();
  #best: ImprovementWatch | undefined;
  #earlyStopping: ImprovementWatch | undefined;
  #evaluation: Readonly<Record<string, number>> = {};
  #loss: number | undefined;
  #epochStarted = performance.now();
  /** Step of the last checkpoint. */
  #saved: number | undefined;

  private constructor(
    options: FitOptions,
    parts: {
      objective: Objective;
      data: TrainingData;
      trainer: Trainer;
      totalSteps: number;
      samplesPerStep: number;
    },
  ) {
    this.#options = options;
    this.#objective = parts.objective;
    this.#data = parts.data;
    this.#trainer = parts.trainer;
    this.#totalSteps = parts.totalSteps;
    this.#samplesPerStep = parts.samplesPerStep;
    const { best, earlyStopping } = options;
    if (best) this.#best = new ImprovementWatch(best);
    if (earlyStopping) this.#earlyStopping = new ImprovementWatch(earlyStopping);
  }

  /** Checks the options, builds the step, and loads the checkpoint to resume. */
  static async begin(options: FitOptions): Promise<FitRun> {
    const objective = objectiveOf(options);
    const data = trainingData(options.data);
    const totalSteps = runLength(options, data);
    const { checkpointEvery, earlyStopping, best, validation, resume = false, run } = options;
    if (checkpointEvery !== undefined) checkInteger("fit", "checkpointEvery", checkpointEvery, { min: 1 });
    if (earlyStopping) checkEarlyStopping(earlyStopping);
    if (best) checkWatched(best);
    if ((earlyStopping || best) && !validation) {
      throw new OptionError("fit: earlyStopping and best watch the validation, and there is none");
    }
    if (resume && !run) throw new OptionError("fit: resume needs a run whose checkpoint can be loaded");
    const bytes = resume ? await run?.load("last") : undefined;
    const checkpoint = bytes ? readCheckpoint(bytes, { source: "last checkpoint" }) : undefined;
    const first = await data.batch(checkpoint?.progress.step ?? 0);
    const samplesPerStep = sampleCount(first);
    if (checkpoint) checkSameRun(checkpoint, options, samplesPerStep);
    const trainer = await Trainer.create({
      ...options,
      objective,
      inputs: batchTypes(first),
      totalSteps,
    });
    const begun = new FitRun(options, { objective, data, trainer, totalSteps, samplesPerStep });
    try {
      if (checkpoint) await begun.#load(checkpoint);
      if (resume) await run?.cutBack(trainer.stepIndex);
    } catch (error) {
      await trainer.close();
      throw error;
    }
    return begun;
  }

  async #load({ state, progress }: Checkpoint): Promise<void> {
    await this.#trainer.load(state, progress.step);
    this.#averages = new RunningAverages(progress.averages);
    this.#evaluation = progress.evaluation;
    this.#saved = progress.step;
    const { best = defaultWatch(progress.evaluation), earlyStopping } = this.#options;
    if (best) this.#best = new ImprovementWatch(best, progress.best);
    if (earlyStopping) this.#earlyStopping = new ImprovementWatch(earlyStopping, progress.earlyStopping);
  }

  async close(): Promise<void> {
    await this.#trainer.close();
  }

  /** Takes the steps that are left. */
  async complete(): Promise<FitResult> {
    await this.#emit({
      type: "begin",
      step: this.#step,
      totalSteps: this.#totalSteps,
      samplesPerStep: this.#samplesPerStep,
      nodeCount: this.#trainer.definition.nodeCount,
      device: this.#trainer.placedOn,
      threads: this.#trainer.threads,
    });
    let reason: EndReason;
    try {
      reason = await this.#train();
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      await this.#end("non-finite");
      throw error;
    }
    return this.#end(reason);
  }

  async #train(): Promise<EndReason> {
    const { signal } = this.#options;
    if (this.#stopsEarly) return "early-stopping";
    if (signal?.aborted) return "aborted";
    for await (const batch of batchesOf(this.#data, this.#step, this.#totalSteps)) {
      await this.#takeStep(batch);
      const epochEnds = this.#data.epoch(this.#step) > this.#data.epoch(this.#step - 1);
      if (epochEnds) await this.#endEpoch();
      if (epochEnds || this.#step === this.#totalSteps) await this.#validate();
      const { checkpointEvery } = this.#options;
      const due = checkpointEvery !== undefined && this.#step % checkpointEvery === 0;
      if (epochEnds || due) await this.#save();
      if (this.#stopsEarly) return "early-stopping";
      if (signal?.aborted && this.#step < this.#totalSteps) return "aborted";
    }
    return "completed";
  }

  async #takeStep(batch: TrainingBatch): Promise<void> {
    const started = performance.now();
    const result = await this.#trainer.step(batch);
    this.#loss = result.loss;
    this.#averages.add({ ...result.metrics, loss: result.loss }, sampleCount(batch));
    await this.#emit({
      type: "step",
      step: this.#step,
      epoch: this.#data.epoch(this.#step - 1) + 1,
      ...result,
      milliseconds: performance.now() - started,
    });
  }

  async #endEpoch(): Promise<void> {
    const { loss, ...metrics } = this.#averages.averages();
    this.#averages = new RunningAverages();
    const now = performance.now();
    await this.#emit({
      type: "epoch",
      step: this.#step,
      epoch: this.#epoch,
      loss: loss!,
      metrics,
      milliseconds: now - this.#epochStarted,
    });
    this.#epochStarted = now;
  }

  async #validate(): Promise<void> {
    const { validation, run } = this.#options;
    if (!validation) return;
    const started = performance.now();
    await this.#trainer.syncToModel();
    this.#evaluation =
      typeof validation === "function"
        ? await validation({ step: this.#step, epoch: this.#epoch })
        : await this.#evaluateOn(validation);
    await this.#emit({
      type: "evaluation",
      step: this.#step,
      epoch: this.#epoch,
      values: this.#evaluation,
      milliseconds: performance.now() - started,
    });
    this.#earlyStopping?.observe(this.#evaluation);
    const watch = defaultWatch(this.#evaluation);
    if (watch) this.#best ??= new ImprovementWatch(watch);
    if (this.#best?.observe(this.#evaluation) && run) {
      const { state, progress } = await this.#checkpoint();
      await run.save("best", writeCheckpoint({ state: weightsOf(state), progress }));
      await this.#emit({ type: "checkpoint", step: this.#step, name: "best" });
    }
  }

  async #evaluateOn(data: Loader | EvaluationData): Promise<Record<string, number>> {
    const { model, session, runtime } = this.#options;
    const { loss, metrics } = await evaluate({
      model,
      objective: this.#objective,
      data,
      ...(session ? { session } : {}),
      ...(runtime ? { runtime } : {}),
    });
    return { loss, ...metrics };
  }

  /** Stores the last checkpoint. */
  async #save(): Promise<void> {
    const { run } = this.#options;
    if (!run || this.#saved === this.#step) return;
    await run.save("last", writeCheckpoint(await this.#checkpoint()));
    this.#saved = this.#step;
    await this.#emit({ type: "checkpoint", step: this.#step, name: "last" });
  }

  async #checkpoint(): Promise<Checkpoint> {
    const { seed = 0, accumulate = 1, description = "" } = this.#options;
    return {
      state: await this.#trainer.state(),
      progress: {
        step: this.#step,
        epoch: this.#epoch,
        position: this.#step * this.#samplesPerStep,
        seed,
        accumulate,
        description,
        best: this.#best?.state ?? { waited: 0 },
        earlyStopping: this.#earlyStopping?.state ?? { waited: 0 },
        averages: this.#averages.totals(),
        evaluation: this.#evaluation,
      },
    };
  }

  async #end(reason: EndReason): Promise<FitResult> {
    await this.#save();
    await this.#trainer.syncToModel();
    const milliseconds = performance.now() - this.#started;
    await this.#emit({ type: "end", step: this.#step, epoch: this.#epoch, reason, milliseconds });
    await this.#options.run?.flush();
    const best = this.#best?.state.best;
    return {
      step: this.#step,
      epoch: this.#epoch,
      reason,
      ...(this.#loss === undefined ? {} : { loss: this.#loss }),
      evaluation: this.#evaluation,
      ...(best === undefined ? {} : { best }),
      milliseconds,
    };
  }

  async #emit(event: FitEvent): Promise<void> {
    const { run, callbacks = [] } = this.#options;
    if (event.type !== "begin" && event.type !== "checkpoint") run?.record(event);
    for (const callback of callbacks) await callback(event);
  }

  /** Steps completed. */
  get #step(): number {
    return this.#trainer.stepIndex;
  }

  /** Epochs completed. */
  get #epoch(): number {
    return this.#data.epoch(this.#step);
  }

  get #stopsEarly(): boolean {
    const { earlyStopping } = this.#options;
    return earlyStopping !== undefined && (this.#earlyStopping?.state.waited ?? 0) >= earlyStopping.patience;
  }
}
