import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { initialize } from "../../src/graph/model.js";
import { create } from "../../src/models/registry.js";
import { loadStateDict } from "../../src/nn/state-dict.js";
import type { DeviceChoice } from "../../src/runtime/devices.js";
import { release, run } from "../../src/runtime/run.js";
import type { Placement, SessionOptions } from "../../src/runtime/types.js";
import { batchTypes } from "../../src/train/data.js";
import { crossEntropy, type Loss, meanSquaredError } from "../../src/train/losses.js";
import { type SupervisedModel, supervised } from "../../src/train/objective.js";
import { adamW, type Optimizer, sgd } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";

/** What a training came to, as plain values that can leave a page. */
export interface TrainingRecord {
  readonly losses: readonly number[];
  /** The attention maps of the trained model for the batch, one after the other. */
  readonly maps: readonly number[];
  readonly placedOn: DeviceChoice;
  readonly threads: number;
  readonly placement: Placement;
}

function normal(shape: readonly number[], stream: string): HostTensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  fillNormal(data, { seed: 1, stream, step: 0 });
  return { dtype: "float32", shape, data };
}

/** Everything that a training is, but for where it runs. */
interface Training {
  readonly model: SupervisedModel;
  readonly loss: Loss;
  readonly batch: { readonly x: HostTensor; readonly y: HostTensor };
  readonly optimizer: Optimizer;
  readonly rate: number;
  /** Pattern of the maps that are shown of the trained model. */
  readonly maps: string;
}

/** Trains for some steps, and runs the trained model with its maps. */
async function record(training: Training, session: SessionOptions, steps: number): Promise<TrainingRecord> {
  const { model, loss, batch, optimizer, rate, maps } = training;
  initialize(model, { seed: 1 });
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss }),
    inputs: batchTypes(batch),
    optimizer,
    schedule: rate,
    session: { ...session, placement: true },
  });
  try {
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) losses.push((await trainer.step(batch)).loss);
    await trainer.syncToModel();
    const { taps } = await run(model, batch.x, { ...session, taps: [maps] });
    return {
      losses,
      maps: Object.values(taps).flatMap(({ data }) => Array.from(data as Float32Array)),
      placedOn: trainer.placedOn,
      threads: trainer.threads,
      placement: await trainer.placement(),
    };
  } finally {
    await trainer.close();
    await release(model);
  }
}

/** A squeeze-and-excitation block learns to give random values for random input. */
export function trainSqueezeExcitation(session: SessionOptions, steps: number): Promise<TrainingRecord> {
  const shape = [4, 16, 6, 6];
  return record(
    {
      model: new SqueezeExcitation({ channels: 16, reduction: 4 }),
      loss: meanSquaredError,
      batch: { x: normal(shape, "x"), y: normal(shape, "y") },
      optimizer: adamW(),
      rate: 0.01,
      maps: "attention",
    },
    session,
    steps,
  );
}

/**
 * SE-ResNet-20 learns the classes of eight random images. At this rate the loss falls well within thirty steps, while the rounding of
 * float32, which every step amplifies, stays below 1e-4.
 * @param size height and width of the images; a software GPU takes small ones in a bearable time. Of 8 pixels 2 are left in the end,
 *   whose statistics amplify rounding so that two orders of the CPU's sums part by 5e-4; with 12 they stay within 1e-6.
 */
export function trainSeResNet20(
  session: SessionOptions,
  steps: number,
  size: number,
): Promise<TrainingRecord> {
  const classes = [1, 2, 3, 0, 5, 6, 7, 4];
  return record(
    {
      model: create("seresnet20"),
      loss: crossEntropy,
      batch: {
        x: normal([classes.length, 3, size, size], "images"),
        y: { dtype: "int64", shape: [classes.length], data: BigInt64Array.from(classes, BigInt) },
      },
      optimizer: sgd({ momentum: 0.9 }),
      rate: 0.0005,
      maps: "*.attention",
    },
    session,
    steps,
  );
}

/** What a network says of digits, as plain values. */
export interface Predictions {
  /** [N, 10] row-major. */
  readonly logits: readonly number[];
  /** Gates of every block, one after the other. */
  readonly gates: readonly number[];
}

/**
 * Runs the network of MNIST with trained weights.
 * @param file safetensors with the network's state and `images`, normalized digits [N, 1, 28, 28]
 */
export async function predictDigits(session: SessionOptions, file: Uint8Array): Promise<Predictions> {
  const tensors = [...readSafetensors(file).tensors].map(
    ([name, tensor]) => [name, toHostTensor(tensor)] as const,
  );
  const { images, ...state } = Object.fromEntries(tensors);
  const model = create("seresnet8", { inChannels: 1 });
  loadStateDict(model, new Map(Object.entries(state)));
  try {
    const { outputs, taps } = await run(model, images!, { ...session, taps: ["*.attention"] });
    const values = ({ data }: HostTensor) => Array.from(data as Float32Array);
    return { logits: values(outputs.y!), gates: Object.values(taps).flatMap(values) };
  } finally {
    await release(model);
  }
}
