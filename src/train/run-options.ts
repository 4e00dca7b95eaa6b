import { checkInteger } from "../base/check.js";
import { DataError, OptionError } from "../base/errors.js";
import type { Checkpoint } from "./checkpoint.js";
import type { TrainingData } from "./data.js";
import type { FitOptions } from "./fit-options.js";

/** Steps of a run of so many epochs or steps. @throws OptionError */
export function runLength({ epochs, steps }: FitOptions, data: TrainingData): number {
  if ((epochs === undefined) === (steps === undefined)) {
    throw new OptionError("fit: either epochs or steps says how long to train");
  }
  if (steps !== undefined) {
    checkInteger("fit", "steps", steps);
    return steps;
  }
  checkInteger("fit", "epochs", epochs);
  return firstStepOf(epochs!, data);
}

/** The first step whose first sample belongs to an epoch: the steps before complete the epochs before. */
function firstStepOf(epoch: number, data: TrainingData): number {
  let before = 0;
  let reached = 1;
  if (epoch === 0) return 0;
  while (data.epoch(reached) < epoch) {
    before = reached;
    reached *= 2;
    if (reached > 2 ** 40)
      throw new OptionError(`fit: the data do not reach epoch ${epoch}; name steps instead`);
  }
  while (reached - before > 1) {
    const middle = Math.floor((before + reached) / 2);
    if (data.epoch(middle) < epoch) before = middle;
    else reached = middle;
  }
  return reached;
}

/** Refuses to go on from a checkpoint of another run. @throws DataError that names the differences */
export function checkSameRun({ progress }: Checkpoint, options: FitOptions, samplesPerStep: number): void {
  const { seed = 0, accumulate = 1, description = "" } = options;
  const now = { description, seed, accumulate, position: progress.step * samplesPerStep };
  const differences = Object.entries(now)
    .filter(([name, value]) => progress[name as keyof typeof now] !== value)
    .map(([name, value]) => {
      const before = JSON.stringify(progress[name as keyof typeof now]);
      return `${name} is ${before} in the checkpoint, now ${JSON.stringify(value)}`;
    });
  if (differences.length > 0) {
    throw new DataError(
      `the last checkpoint belongs to another run: ${differences.join("; ")} (the position is steps times the batch size)`,
    );
  }
}
