import { initialize, parameterCount } from "../../graph/model.js";
import { formatInteger } from "../../report/units.js";
import { defaultRuntime } from "../../runtime/provider.js";
import { batchTypes, trainingData } from "../../train/data.js";
import { RunFolder } from "../../train/node-run-folder.js";
import { objectiveOf } from "../../train/objective.js";
import { runLength } from "../../train/run-options.js";
import { buildTrainingStep } from "../../train/training-step.js";
import type { TrainSettings } from "./config.js";
import { createTask } from "./task.js";
import { settingsOfRequest, type TrainRequest } from "./train-run.js";

/** What a training run would do. */
export interface TrainPlan {
  readonly settings: TrainSettings;
  readonly folder: string;
  readonly device: string;
  readonly trainImages: number;
  readonly testImages: number;
  readonly classes: readonly string[];
  readonly imageShape: readonly number[];
  readonly parameters: number;
  /** Of these so many are trained, the others frozen. */
  readonly trained: number;
  /** Parameters that weights to begin with did not have. */
  readonly fresh: readonly string[];
  readonly steps: number;
  /** Nodes of the training step. */
  readonly nodes: number;
}

/**
 * Does everything that a run does before its first step (loads the data, builds the network, loads weights, prepares a batch, builds the
 * training step) but writes nothing. @throws as the run would
 */
export async function planRun(request: TrainRequest, say: (text: string) => void): Promise<TrainPlan> {
  const settings = await settingsOfRequest(request);
  const resumes = "resume" in request;
  if (!resumes) await RunFolder.requireFree(request.folder);
  const { device } = await defaultRuntime().resolveDevice(request.session.device);
  const { model, train, test, fresh, fit } = await createTask(settings, { say, resumes });
  initialize(model, { seed: settings.seed });
  const data = trainingData(fit.data);
  const batch = await data.batch(0);
  const step = buildTrainingStep({ ...fit, objective: objectiveOf(fit), inputs: batchTypes(batch) });
  return {
    settings,
    folder: request.folder,
    device,
    trainImages: train.length,
    testImages: test.length,
    classes: train.classes,
    imageShape: train.imageShape,
    parameters: parameterCount(model),
    trained: step.trained.length,
    fresh,
    steps: runLength(fit, data),
    nodes: step.nodeCount,
  };
}

/** A plan in words. */
export function describePlan(plan: TrainPlan): string {
  const { settings, trainImages, testImages, classes, imageShape } = plan;
  const named = classes.slice(0, 8).join(", ") + (classes.length > 8 ? " ..." : "");
  return [
    `data      ${formatInteger(trainImages)} images to train on, ${formatInteger(testImages)} to test on, ${imageShape.join(" x ")}`,
    `classes   ${classes.length}: ${named}`,
    `network   ${settings.model}, ${formatInteger(plan.parameters)} parameters`,
    ...(plan.fresh.length > 0
      ? [`new       ${plan.fresh.join(", ")}: the weights to begin with have other classes`]
      : []),
    ...(settings.freeze.length > 0
      ? [`frozen    ${settings.freeze.join(", ")}; ${plan.trained} tensors are trained`]
      : []),
    `work      ${formatInteger(plan.steps)} steps of ${settings.batchSize} images, ${settings.epochs} epochs; a step is one model of ${formatInteger(plan.nodes)} nodes`,
    `device    ${plan.device}`,
    `folder    ${plan.folder} (nothing was written: this was a dry run)`,
  ].join("\n");
}
