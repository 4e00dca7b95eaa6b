import { initialize, namedParameters } from "../../src/graph/model.js";
import { gradients } from "../../src/ops/gradients.js";
import { sessionTarget } from "../../src/runtime/devices.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { traceObjective } from "../../src/train/traced-objective.js";
import { buildTrainingStep } from "../../src/train/training-step.js";
import { networks } from "../suite/networks.js";
import type { BuildWork } from "../suite/work.js";
import { stepOptions } from "./network.js";
import type { ReadyWork } from "./serve.js";

/** From a network's class to a training step that can run, stage by stage. */
export async function prepareBuild(work: BuildWork, threads: number): Promise<ReadyWork> {
  const start = performance.now();
  const { nodes } = await buildOnce(work, threads);
  return {
    first: performance.now() - start,
    nodes,
    run: async () => {
      const { parts } = await buildOnce(work, threads);
      return { milliseconds: Object.values(parts).reduce((total, part) => total + part, 0), parts };
    },
    close: async () => undefined,
  };
}

async function buildOnce(work: BuildWork, threads: number) {
  const model = networks[work.network].build();
  initialize(model);
  const options = stepOptions(model, work);
  const target = sessionTarget("cpu", await defaultRuntime().channelBlock("cpu"));
  const start = performance.now();
  const traced = traceObjective(options.model, options.objective, options.inputs, { training: true });
  const tracedAt = performance.now();
  gradients(traced.loss, [...namedParameters(options.model).values()]);
  const differentiatedAt = performance.now();
  // Traces and differentiates again, which is taken off.
  const step = buildTrainingStep({ ...options, target });
  const builtAt = performance.now();
  const session = await defaultRuntime().createSession(step.bytes, { ...step.sessionOptions, threads });
  const loadedAt = performance.now();
  await session.close();
  const [trace, gradient] = [tracedAt - start, differentiatedAt - tracedAt];
  const emission = Math.max(0, builtAt - differentiatedAt - trace - gradient);
  return { nodes: step.nodeCount, parts: { trace, gradient, emission, session: loadedAt - builtAt } };
}
