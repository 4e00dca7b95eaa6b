import { ShapeError } from "../../base/errors.js";
import { trace } from "../../graph/model.js";
import type { SessionOptions } from "../../runtime/types.js";
import { fit } from "../../train/fit.js";
import { UsageError } from "../command.js";
import type { TrainSettings } from "../train/config.js";
import { createTask } from "../train/task.js";

/** Accuracies on the test images, one per seed. */
export interface Accuracy {
  readonly mean: number;
  readonly least: number;
  readonly most: number;
  readonly bySeed: readonly number[];
}

/** The settings of each training run: those of `fovea train` with another mechanism and seed. */
export function trainingRuns(settings: TrainSettings, attention: string, seeds: number): TrainSettings[] {
  return Array.from({ length: seeds }, (_, index) => ({
    ...settings,
    attention,
    seed: settings.seed + index,
  }));
}

/**
 * Refuses a mechanism that cannot stand in the network.
 * @throws UsageError for one that does not fit into a block; ShapeError where it does not keep the shape or takes more than an image
 */
export async function checkNetwork(settings: TrainSettings): Promise<void> {
  try {
    const { model, train } = await createTask(settings);
    trace(model, { shape: [settings.batchSize, ...train.imageShape] }, { training: true });
  } catch (error) {
    if (!(error instanceof ShapeError || error instanceof UsageError)) throw error;
    const kind = error instanceof ShapeError ? ShapeError : UsageError;
    throw new kind(`${settings.attention} cannot stand in ${settings.model}: ${error.message}`, {
      cause: error,
    });
  }
}

/** Trains the network once for each of the settings, as `fovea train` does, and evaluates it on the test images. */
export async function trainedAccuracy(
  runs: readonly TrainSettings[],
  session: SessionOptions,
  say: (run: TrainSettings, accuracy: number, milliseconds: number) => void,
): Promise<Accuracy> {
  const bySeed: number[] = [];
  for (const settings of runs) {
    const task = await createTask(settings);
    const { evaluation, milliseconds } = await fit({ ...task.fit, session });
    bySeed.push(evaluation.accuracy!);
    say(settings, evaluation.accuracy!, milliseconds);
  }
  return {
    mean: bySeed.reduce((sum, value) => sum + value, 0) / bySeed.length,
    least: Math.min(...bySeed),
    most: Math.max(...bySeed),
    bySeed,
  };
}
