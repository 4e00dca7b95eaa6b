import { readFileSync, writeFileSync } from "node:fs";
import type { HostTensor } from "../../src/base/dtype.js";
import { elementCount } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { ancestors } from "../../src/graph/ancestors.js";
import { type Graph, trace } from "../../src/graph/model.js";
import { concreteShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { emitModel } from "../../src/onnx/emit.js";
import { mean } from "../../src/ops/reduce.js";
import { interleaved } from "../../src/report/timing.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import type { Session } from "../../src/runtime/types.js";

/** `plain`: as it is written, since something reads the map (its mean); `fused`: as a session runs it; `portable`: as it is exported. */
export const formNames = ["plain", "fused", "portable"] as const;

export type Form = (typeof formNames)[number];

/** A graph with a concrete batch, built anew on each call. */
export type Workload = () => Graph;

async function load(graph: Graph, form: Form): Promise<Session> {
  const { inputs, outputs, variables } = graph;
  const read = form === "plain" ? [["mean", mean(largest(outputs.values()))] as const] : [];
  for (const [path, variable] of variables) variable.initialize({ seed: 0, path });
  const { bytes } = emitModel({
    target: form === "portable" ? { kind: "portable", opset: 20 } : { kind: "cpu", opset: 21 },
    inputs,
    variables,
    variablesAs: "initializers",
    outputs: new Map([...[...outputs].map(([name, tensor]) => [`output:${name}`, tensor] as const), ...read]),
    producerVersion: "0.0.0",
  });
  return nodeRuntime().createSession(bytes);
}

/** The last of the tensors with the most elements: the map, where there is one. */
function largest(roots: Iterable<Tensor>): Tensor {
  const size = ({ shape }: Tensor) => elementCount(concreteShape(shape));
  return [...ancestors(roots)].reduce((a, b) =>
    size(b) > size(a) || (size(b) === size(a) && b.id > a.id) ? b : a,
  );
}

function feedsOf({ inputs }: Graph): Record<string, HostTensor> {
  return Object.fromEntries(
    [...inputs].map(([stream, { shape }]) => {
      const data = new Float32Array(elementCount(concreteShape(shape)));
      fillNormal(data, { seed: 1, stream, step: 0 });
      return [stream, { dtype: "float32", shape: concreteShape(shape), data }];
    }),
  );
}

/** Bytes of the resident set at its largest since it was last asked for. */
function peakMemory(): number {
  const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))!;
  // Linux begins to count anew.
  writeFileSync("/proc/self/clear_refs", "5");
  return Number(kibibytes) * 1024;
}

/** Loads ONNX Runtime, whose own memory is not to be counted. */
async function startRuntime(): Promise<void> {
  const tiny = trace((x: Tensor) => mean(x), { shape: [8] });
  const session = await load(tiny, "fused");
  await session.run(feedsOf(tiny));
  await session.close();
}

/** Peak memory that loading and running a form adds to this process, in bytes, and the time of its last run. */
export async function measured(
  workload: Workload,
  form: Form,
): Promise<{ peak: number; milliseconds: number }> {
  const graph = workload();
  const feeds = feedsOf(graph);
  await startRuntime();
  peakMemory();
  const before = process.memoryUsage().rss;
  const session = await load(graph, form);
  let milliseconds = 0;
  for (let run = 0; run < 2; run++) {
    const start = performance.now();
    await session.run(feeds);
    milliseconds = performance.now() - start;
  }
  const peak = peakMemory() - before;
  await session.close();
  return { peak, milliseconds };
}

/** Median time of each form as a multiple of the plain one's. */
export async function timed(workload: Workload): Promise<Record<Form, number>> {
  const graph = workload();
  const feeds = feedsOf(graph);
  const sessions = await Promise.all(formNames.map((form) => load(graph, form)));
  const contestants = formNames.map((name, index) => ({
    name,
    run: async () => {
      await sessions[index]!.run(feeds);
    },
  }));
  const times = await interleaved(contestants, { rounds: 9, warmUps: 1 });
  await Promise.all(sessions.map((session) => session.close()));
  const plain = times.get("plain")!.median;
  return Object.fromEntries([...times].map(([name, { median }]) => [name, median / plain])) as Record<
    Form,
    number
  >;
}
