import { initialize, trace } from "../../graph/model.js";
import { graphCost } from "../../report/cost.js";
import type { Contestant } from "../../report/timing.js";
import { compile } from "../../runtime/executable.js";
import type { SessionOptions } from "../../runtime/types.js";
import { batchTypes } from "../../train/data.js";
import { crossEntropy } from "../../train/losses.js";
import { supervised } from "../../train/objective.js";
import { sgd } from "../../train/optimizers.js";
import { Trainer } from "../../train/trainer.js";
import type { OpenedNetwork } from "../network/open.js";
import { randomImages } from "../network/random-images.js";
import { sampleBatch } from "../network/sample-batch.js";

/** One kind of work of a network on a device. */
export interface Workload extends Contestant {
  readonly work: "inference" | "training step";
  /** The device that was really taken. */
  readonly device: string;
  /** Floating-point operations of products and convolutions in a call. */
  readonly operations: number;
  /** Ends the profile that the session was asked for and returns the path of its file. @throws DeviceError where there is none */
  endProfiling(): Promise<string>;
  close(): Promise<void>;
}

/** What is measured. */
export interface BenchPlan {
  /** Images of a call. */
  readonly batch: number;
  readonly session: SessionOptions;
}

/** A forward pass, the weights inside the model. @throws DeviceError */
export async function inference(network: OpenedNetwork, plan: BenchPlan): Promise<Workload> {
  const { model, title, description } = network;
  initialize(model);
  const shape = [plan.batch, ...description.preprocessing.imageShape];
  const graph = trace(model, { shape });
  const executable = await compile(graph, plan.session);
  const x = randomImages(shape);
  const { device } = executable.placedOn;
  return {
    name: `${title} inference ${device}`,
    work: "inference",
    device,
    operations: 2 * graphCost(graph.outputs.values()).macs,
    run: async () => {
      await executable.run({ x });
    },
    endProfiling: () => executable.endProfiling(),
    close: () => executable.close(),
  };
}

/** A training step: cross-entropy, gradients, SGD with momentum; the weights beside the session. @throws DeviceError */
export async function trainingStep(network: OpenedNetwork, plan: BenchPlan): Promise<Workload> {
  const { model, title, description } = network;
  const batch = sampleBatch(description, plan.batch);
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: batchTypes(batch),
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
    // So low that the weights stay what they are, whatever the number of steps.
    schedule: 1e-9,
    session: plan.session,
  });
  const { traced, gradients } = trainer.definition;
  const { device } = trainer.placedOn;
  return {
    name: `${title} training step ${device}`,
    work: "training step",
    device,
    operations: 2 * graphCost([traced.loss, ...gradients.values()]).macs,
    run: async () => {
      await trainer.step(batch);
    },
    endProfiling: () => trainer.endProfiling(),
    close: () => trainer.close(),
  };
}
