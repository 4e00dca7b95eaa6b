import { bytesPerElement, elementCount, type HostTensor, hostArray } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { version } from "../../src/base/version.js";
import type { Graph } from "../../src/graph/model.js";
import { concreteShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { emitModel } from "../../src/onnx/emit.js";
import { slice } from "../../src/ops/shape.js";
import { graphCost } from "../../src/report/cost.js";
import { modelTarget } from "../../src/runtime/model-target.js";
import { callingThreadRuntime } from "../../src/runtime/node.js";
import { namedNoise, noiseInputs } from "../../src/runtime/noise.js";
import type { ReadyWork } from "./serve.js";

/**
 * A graph in a session whose inputs and weights stay beside it, and of whose outputs one element each comes out: a call computes all of
 * them, but copies nothing. (ONNX Runtime's binding for Node.js copies whatever is fetched into new memory, which takes longer than many
 * a mechanism.) On the calling thread: the way to a worker and back takes as long as a small mechanism.
 */
export interface ResidentSession extends Omit<ReadyWork, "first"> {
  readonly operations: number;
  /** Nodes of the emitted model. */
  readonly nodes: number;
}

/** Loads a graph with random inputs. @param options.weights `constant` in the model as for inference, or `state` beside it */
export async function residentSession(
  graph: Graph,
  { weights, threads }: { readonly weights: "constant" | "state"; readonly threads: number },
): Promise<ResidentSession> {
  const runtime = callingThreadRuntime();
  const variables = new Map([...graph.variables].map(([path, variable]) => [`variable:${path}`, variable]));
  const computed = [...graph.outputs.values(), ...graph.updates.values()];
  const outputs = new Map(computed.map((tensor, index) => [`corner:${index}`, corner(tensor)]));
  const variablesAs = weights === "state" ? "inputs" : "initializers";
  const model = emitModel({
    target: await modelTarget(runtime, "cpu", variablesAs, [...outputs.values()]),
    inputs: new Map([...graph.inputs, ...namedNoise(graph)]),
    variables,
    variablesAs,
    outputs,
    producerVersion: version,
  });
  const used = new Set(model.usedInputs);
  const values: Record<string, HostTensor> = {};
  for (const [name, tensor] of graph.inputs) if (used.has(name)) values[name] = randomTensor(name, tensor);
  for (const [name, { shape, dtype, value }] of variables) {
    if (used.has(name)) values[name] = { dtype, shape, data: value };
  }
  // Several lie in one process, of which one is measured at a time.
  const session = await runtime.createSession(model.bytes, { threads, spinning: true });
  const state = await runtime.createState(values);
  const noise = noiseInputs(graph, used);
  const fetches = [...outputs.keys()];
  let step = 0;
  return {
    operations: 2 * graphCost(computed).macs,
    nodes: model.nodeCount,
    run: async () => {
      await session.step(state, { feeds: {}, fetches, next: {}, noise, seed: 0, step: step++ });
      return undefined;
    },
    close: async () => {
      await session.close();
      await state.close();
    },
  };
}

/** The first element, of which the whole tensor has to be computed. */
function corner(tensor: Tensor): Tensor {
  const axes = tensor.shape.map((_, axis) => axis);
  if (axes.length === 0) return tensor;
  return slice(tensor, { axes, starts: axes.map(() => 0), ends: axes.map(() => 1) });
}

/** Bytes of tensors. */
export function bytesOf(tensors: Iterable<Pick<Tensor, "shape" | "dtype">>): number {
  let bytes = 0;
  for (const { shape, dtype } of tensors)
    bytes += elementCount(concreteShape(shape)) * bytesPerElement[dtype];
  return bytes;
}

function randomTensor(name: string, { shape, dtype }: Tensor): HostTensor {
  const sizes = concreteShape(shape);
  const data = hostArray(dtype, elementCount(sizes));
  if (data instanceof Float32Array) fillNormal(data, { seed: 0, stream: name, step: 0 });
  return { dtype, shape: sizes, data };
}
