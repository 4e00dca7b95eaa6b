import { elementCount, type HostTensor, hostArray } from "../../base/dtype.js";
import { fillNormal } from "../../base/random.js";
import { version } from "../../base/version.js";
import type { Graph } from "../../graph/model.js";
import { concreteShape } from "../../graph/size.js";
import { emitModel } from "../../onnx/emit.js";
import { modelTarget } from "../../runtime/model-target.js";
import { namedNoise, noiseInputs } from "../../runtime/noise.js";
import { defaultRuntime } from "../../runtime/provider.js";
import type { SessionOptions } from "../../runtime/types.js";

/** A graph in a session of its own, whose inputs lie beside it. */
export interface TimedSession {
  run(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Loads a graph with random inputs that stay beside the session, so that a run copies nothing but its outputs.
 * @param weights `constant` in the model as for inference, or `state` beside it as in training
 */
export async function timedSession(
  graph: Graph,
  options: { readonly weights: "constant" | "state"; readonly session: SessionOptions },
): Promise<TimedSession> {
  const runtime = defaultRuntime();
  const { device } = await runtime.resolveDevice(options.session.device);
  const updates = [...graph.updates.values()].map((value, index) => [`update:${index}`, value] as const);
  const variables = new Map([...graph.variables].map(([path, variable]) => [`variable:${path}`, variable]));
  const outputs = new Map([...graph.outputs, ...updates]);
  const variablesAs = options.weights === "state" ? "inputs" : "initializers";
  const model = emitModel({
    target: await modelTarget(runtime, device, variablesAs, [...outputs.values()]),
    inputs: new Map([...graph.inputs, ...namedNoise(graph)]),
    variables,
    variablesAs,
    outputs,
    producerVersion: version,
  });
  const used = new Set(model.usedInputs);
  const values: Record<string, HostTensor> = {};
  for (const [name, { shape, dtype }] of graph.inputs) {
    if (!used.has(name)) continue;
    const data = hostArray(dtype, elementCount(concreteShape(shape)));
    if (data instanceof Float32Array) fillNormal(data, { seed: 0, stream: name, step: 0 });
    values[name] = { dtype, shape: concreteShape(shape), data };
  }
  for (const [name, { shape, dtype, value }] of variables) {
    if (used.has(name)) values[name] = { dtype, shape, data: value };
  }
  // Threads that spin after a run would take the cores from the session that is measured next.
  const session = await runtime.createSession(model.bytes, { ...options.session, spinning: false });
  const state = await runtime.createState(values);
  const fetches = [...graph.outputs.keys(), ...updates.map(([name]) => name)];
  const noise = noiseInputs(graph, used);
  let step = 0;
  return {
    run: async () => {
      await session.step(state, { feeds: {}, fetches, next: {}, noise, seed: 0, step: step++ });
    },
    close: async () => {
      await session.close();
      await state.close();
    },
  };
}
