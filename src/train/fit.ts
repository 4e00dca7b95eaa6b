import type { FitOptions, FitResult } from "./fit-options.js";
import { FitRun } from "./fit-run.js";

/**
 * Trains a model. What happens depends on the options alone, and a resumed run goes on as if it had not been interrupted. In the end the
 * model's variables have the trained values (their moving average where one is kept).
 * @throws NonFiniteError where a loss or gradient is not finite: the model and the last checkpoint have the values before
 * @throws OptionError, ShapeError, DataError, DeviceError; FormatError or DataError for a checkpoint of another model or run
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const run = await FitRun.begin(options);
  try {
    return await run.complete();
  } finally {
    await run.close();
  }
}
