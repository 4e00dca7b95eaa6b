import type { HostTensor } from "../../src/base/dtype.js";
import { type Model, trace } from "../../src/graph/model.js";
import type { ImageModel } from "../../src/models/image-model.js";
import { graphCost } from "../../src/report/cost.js";
import { compile } from "../../src/runtime/executable.js";
import type { SessionOptions } from "../../src/runtime/types.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { sgd } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";
import type { TrainingStepOptions } from "../../src/train/training-step.js";
import { networkInputs } from "../suite/network-inputs.js";
import { optimizer } from "../suite/optimizer.js";
import type { NetworkWork } from "../suite/work.js";
import type { ReadyWork } from "./serve.js";

/** A network's work on fovea, here or in a page. */
export interface ReadyNetwork extends ReadyWork {
  /** What a forward pass made: the logits; none for training. */
  readonly output?: HostTensor;
}

/** The training step that is measured. */
export function stepOptions(
  model: Model & ImageModel,
  work: Pick<NetworkWork, "network" | "shape">,
): TrainingStepOptions {
  const { x, y } = networkInputs(work);
  return {
    model,
    objective: supervised({ model, loss: crossEntropy, metrics: {} }),
    inputs: { x: { shape: x.shape }, y: { shape: y.shape, dtype: y.dtype } },
    optimizer: sgd(optimizer),
  };
}

/** Makes a network ready and runs it once. */
export async function prepareNetwork(
  model: Model & ImageModel,
  work: NetworkWork,
  session: SessionOptions,
): Promise<ReadyNetwork> {
  const { x, y } = networkInputs(work);
  const start = performance.now();
  if (work.pass === "inference") {
    const graph = trace(model, { shape: x.shape });
    const executable = await compile(graph, session);
    const { outputs } = await executable.run({ x });
    return {
      first: performance.now() - start,
      operations: 2 * graphCost(graph.outputs.values()).macs,
      nodes: executable.nodeCount,
      output: Object.values(outputs)[0]!,
      run: async () => {
        await executable.run({ x });
        return undefined;
      },
      close: () => executable.close(),
    };
  }
  const trainer = await Trainer.create({
    ...stepOptions(model, work),
    schedule: optimizer.learningRate,
    session,
  });
  const { loss, gradientNorm } = await trainer.step({ x, y });
  const first = performance.now() - start;
  const { traced, gradients, nodeCount } = trainer.definition;
  return {
    first,
    loss,
    gradientNorm,
    operations: 2 * graphCost([traced.loss, ...gradients.values()]).macs,
    nodes: nodeCount,
    run: async () => {
      await trainer.step({ x, y });
      return undefined;
    },
    close: () => trainer.close(),
  };
}
