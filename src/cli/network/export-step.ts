import { type HostTensor, hostArray } from "../../base/dtype.js";
import { FoveaError } from "../../base/errors.js";
import { fillNoise, noiseTensor } from "../../base/noise.js";
import { version } from "../../base/version.js";
import { writeSafetensors } from "../../formats/safetensors.js";
import { defaultRuntime } from "../../runtime/provider.js";
import type { SessionOptions } from "../../runtime/types.js";
import { batchTypes, type TrainingBatch } from "../../train/data.js";
import { type ExportedStep, exportTrainingStep, type StepInput } from "../../train/export-step.js";
import { crossEntropy } from "../../train/losses.js";
import { supervised } from "../../train/objective.js";
import type { Optimizer } from "../../train/optimizers.js";
import { Trainer } from "../../train/trainer.js";
import { stepNames } from "../../train/training-step.js";
import type { OpenedNetwork } from "./open.js";
import { sampleBatch } from "./sample-batch.js";

/** How a training step is exported. */
export interface StepExport {
  readonly opset: number;
  /** Images of a step. */
  readonly batch: number;
  readonly optimizer: Optimizer;
  readonly session: SessionOptions;
}

/** An exported training step that was compared with ours. */
export interface CheckedStep extends ExportedStep {
  /** The first values of its states as a safetensors file. */
  readonly state: Uint8Array;
  /** By how much its first loss differs from ours, relative to it. */
  readonly difference: number;
}

const tolerance = 1e-4;
const learningRate = 0.1;

/**
 * A network's training step (cross-entropy of classes) as an ONNX model, run once in a fresh session and compared with our own step.
 * @throws OptionError; FoveaError where the losses differ
 */
export async function exportStep(network: OpenedNetwork, options: StepExport): Promise<CheckedStep> {
  const { model, description } = network;
  const { opset, optimizer, session } = options;
  const batch = sampleBatch(description, options.batch);
  const step = {
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: batchTypes(batch),
    optimizer,
  };
  const exported = exportTrainingStep({ ...step, opset });
  const trainer = await Trainer.create({ ...step, schedule: learningRate, session });
  const expected = await trainer.step(batch).finally(() => trainer.close());
  const loss = await firstLoss(exported, { batch, optimizer, session });
  const difference = Math.abs(loss - expected.loss) / Math.abs(expected.loss);
  if (!(difference <= tolerance)) {
    throw new FoveaError(`the exported step's first loss is ${loss}, that of the trainer ${expected.loss}`);
  }
  const metadata = { producer: `fovea ${version}`, model: description.name };
  return { ...exported, difference, state: writeSafetensors(exported.initial, metadata) };
}

/** Runs the model once, fed as its description says. */
async function firstLoss(
  { bytes, inputs, initial }: ExportedStep,
  context: { batch: TrainingBatch; optimizer: Optimizer; session: SessionOptions },
): Promise<number> {
  const { batch, optimizer } = context;
  const scalars = new Map(
    Object.entries(optimizer.scalars(0)).map(([name, value]) => [stepNames.scalar(name), value]),
  );
  scalars.set(stepNames.learningRate, learningRate);
  const batches = new Map(Object.entries(batch).map(([name, tensor]) => [stepNames.batch(name), tensor]));
  const feed: Record<StepInput["role"], (input: StepInput) => HostTensor> = {
    batch: ({ name }) => batches.get(name)!,
    state: ({ name }) => initial.get(name)!,
    scalar: ({ name, dtype }) => {
      const data = hostArray(dtype, 1);
      data[0] = scalars.get(name)!;
      return { dtype, shape: [], data };
    },
    noise: ({ stream = "", shape, distribution = "uniform" }) => {
      const tensor = noiseTensor(distribution, shape);
      fillNoise(tensor, distribution, { seed: 0, stream, step: 0 });
      return tensor;
    },
  };
  const session = await defaultRuntime().createSession(bytes, { ...context.session, name: "exported step" });
  try {
    const results = await session.run(
      Object.fromEntries(inputs.map((input) => [input.name, feed[input.role](input)])),
    );
    return Number(results[stepNames.loss]!.data[0]);
  } finally {
    await session.close();
  }
}
