import type { HostTensor } from "../src/base/dtype.js";
import { fillNormal } from "../src/base/random.js";
import { initialize, namedParameters, trace } from "../src/graph/model.js";
import type { Tensor } from "../src/graph/tensor.js";
import * as models from "../src/models/registry.js";
import { gradients } from "../src/ops/gradients.js";
import { matmul } from "../src/ops/matmul.js";
import { graphCost } from "../src/report/cost.js";
import type { Contestant } from "../src/report/timing.js";
import { sessionTarget } from "../src/runtime/devices.js";
import { compile } from "../src/runtime/executable.js";
import { nodeRuntime } from "../src/runtime/node.js";
import { crossEntropy } from "../src/train/losses.js";
import { supervised } from "../src/train/objective.js";
import { sgd } from "../src/train/optimizers.js";
import { traceObjective } from "../src/train/traced-objective.js";
import { Trainer } from "../src/train/trainer.js";
import { buildTrainingStep } from "../src/train/training-step.js";

/** A network at the size at which it is measured. */
export interface Network {
  readonly name: string;
  readonly model: string;
  /** [N, C, H, W] */
  readonly shape: readonly [number, number, number, number];
}

/** A contestant with the floating-point operations of a call: two per multiply-accumulate of products and convolutions. */
export interface Workload extends Contestant {
  readonly operations: number;
  readonly images: number;
  close(): Promise<void>;
}

function randomImages({ shape }: Network): HostTensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  fillNormal(data, { seed: 1, stream: "bench", step: 0 });
  return { dtype: "float32", shape, data };
}

function labels(count: number, classes: number): HostTensor {
  return {
    dtype: "int64",
    shape: [count],
    data: BigInt64Array.from({ length: count }, (_, i) => BigInt(i % classes)),
  };
}

function buildNetwork(network: Network) {
  const model = models.create(network.model, { inChannels: network.shape[1] });
  initialize(model);
  return model;
}

/** Options of the training step that is measured: SGD with momentum and weight decay on cross-entropy. */
function stepOptions(network: Network) {
  const model = buildNetwork(network);
  const [count] = network.shape;
  return {
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: { x: { shape: network.shape }, y: { shape: [count], dtype: "int64" } },
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
  } as const;
}

/** One step of training. */
export async function trainingStep(network: Network): Promise<Workload> {
  const options = stepOptions(network);
  const trainer = await Trainer.create({ ...options, schedule: 0.01 });
  const batch = { x: randomImages(network), y: labels(network.shape[0], 10) };
  const { traced, gradients } = trainer.definition;
  const { macs } = graphCost([traced.loss, ...gradients.values()]);
  return {
    name: `${network.name}, training step`,
    operations: 2 * macs,
    images: network.shape[0],
    run: async () => {
      await trainer.step(batch);
    },
    close: () => trainer.close(),
  };
}

/** One forward pass in evaluation mode. */
export async function inference(network: Network): Promise<Workload> {
  const graph = trace(buildNetwork(network), { shape: network.shape });
  const executable = await compile(graph);
  const x = randomImages(network);
  return {
    name: `${network.name}, inference`,
    operations: 2 * graphCost(graph.outputs.values()).macs,
    images: network.shape[0],
    run: async () => {
      await executable.run({ x });
    },
    close: () => executable.close(),
  };
}

const matrixSize = 1024;
const matrixProducts = 8;

/** A chain of products of square matrices: the rate that everything is compared with. Its values stay the same, so nothing overflows. */
export async function matrixProduct(): Promise<Workload> {
  const shape = [matrixSize, matrixSize];
  const chain = (a: Tensor) =>
    Array.from({ length: matrixProducts }).reduce<Tensor>((product) => matmul(product, a), a);
  const executable = await compile(trace(chain, { shape }));
  const x: HostTensor = {
    dtype: "float32",
    shape,
    data: new Float32Array(matrixSize ** 2).fill(1 / matrixSize),
  };
  return {
    name: `${matrixProducts} matrix products of ${matrixSize}`,
    operations: 2 * matrixProducts * matrixSize ** 3,
    images: 1,
    run: async () => {
      await executable.run({ x });
    },
    close: () => executable.close(),
  };
}

/** How long it takes from a network's class to a training step that can run, in milliseconds. */
export interface BuildTimes {
  readonly trace: number;
  readonly gradient: number;
  /** Optimizer and encoding as ONNX. */
  readonly emission: number;
  readonly session: number;
  readonly nodes: number;
}

/** Measures the stages of building a training step once. */
export async function buildTimes(network: Network): Promise<BuildTimes> {
  const options = stepOptions(network);
  const target = sessionTarget("cpu", await nodeRuntime().channelBlock("cpu"));
  const start = performance.now();
  const traced = traceObjective(options.model, options.objective, options.inputs, { training: true });
  const tracedAt = performance.now();
  gradients(traced.loss, [...namedParameters(options.model).values()]);
  const differentiatedAt = performance.now();
  const step = buildTrainingStep({ ...options, target });
  const builtAt = performance.now();
  const session = await nodeRuntime().createSession(step.bytes);
  const loadedAt = performance.now();
  await session.close();
  const trace = tracedAt - start;
  const gradient = differentiatedAt - tracedAt;
  const emission = Math.max(0, builtAt - differentiatedAt - trace - gradient);
  return { trace, gradient, emission, session: loadedAt - builtAt, nodes: step.nodeCount };
}
