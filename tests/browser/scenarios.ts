import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { initialize } from "../../src/graph/model.js";
import { BasicBlock } from "../../src/models/residual-block.js";
import { ResNet } from "../../src/models/resnet.js";
import type { DeviceChoice } from "../../src/runtime/devices.js";
import { release, run } from "../../src/runtime/run.js";
import type { Placement, SessionOptions } from "../../src/runtime/types.js";
import { batchTypes } from "../../src/train/data.js";
import { crossEntropy, type Loss, meanSquaredError } from "../../src/train/losses.js";
import { type SupervisedModel, supervised } from "../../src/train/objective.js";
import { adamW } from "../../src/train/optimizers.js";
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
  readonly rate: number;
  /** Pattern of the maps that are shown of the trained model. */
  readonly maps: string;
}

/** Trains for some steps, and runs the trained model with its maps. */
async function record(training: Training, session: SessionOptions, steps: number): Promise<TrainingRecord> {
  const { model, loss, batch, rate, maps } = training;
  initialize(model, { seed: 1 });
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss }),
    inputs: batchTypes(batch),
    optimizer: adamW(),
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
      rate: 0.01,
      maps: "attention",
    },
    session,
    steps,
  );
}

/** A small residual network with squeeze-and-excitation in every block learns the classes of random images. */
export function trainSmallSeResNet(session: SessionOptions, steps: number): Promise<TrainingRecord> {
  const classes = [1, 2, 3, 0];
  return record(
    {
      model: new ResNet({
        block: BasicBlock,
        layers: [1, 1],
        channels: [8, 16],
        stem: "small",
        inChannels: 3,
        numClasses: 10,
        attention: (channels) => new SqueezeExcitation({ channels, reduction: 4 }),
      }),
      loss: crossEntropy,
      batch: {
        x: normal([4, 3, 12, 12], "images"),
        y: { dtype: "int64", shape: [4], data: BigInt64Array.from(classes, BigInt) },
      },
      rate: 0.003,
      maps: "*.attention",
    },
    session,
    steps,
  );
}
