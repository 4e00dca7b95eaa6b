import type { HostTensor } from "../base/dtype.js";
import { DataError } from "../base/errors.js";
import { type HostCall, hostCallsOf } from "../graph/host-call.js";
import type { Graph } from "../graph/model.js";
import { type EmitRequest, type EmittedModel, emitModel } from "../onnx/emit.js";
import { noiseInputs } from "./noise.js";
import { checkFits, checkHostTensor } from "./tensor-check.js";
import type { Noise, Placement, Runtime, Session, SessionOptions, StateStore, StepCall } from "./types.js";

/** A part of a graph that ends with a call of the host. */
export interface HostStage {
  /** Computes what the host takes; its outputs have the names of the call's tensors. */
  readonly bytes: Uint8Array;
  readonly nodeCount: number;
  /** Inputs and variables that it reads, by name. */
  readonly used: ReadonlySet<string>;
  readonly noise: readonly Noise[];
  readonly call: HostCall;
  /** Input names of the call's results in later parts. */
  readonly results: ReadonlyMap<string, string>;
}

/** A graph as models: all parts but the last end with a call of the host. */
export interface StagedModel extends EmittedModel {
  /** The parts before the last, which is what is described beside them. */
  readonly stages: readonly HostStage[];
}

/**
 * Emits a graph, cut at its host calls. Each part starts from the graph's own inputs: what an earlier one has computed is computed
 * again, which is faster than to keep all that the gradients need. See docs/decisions/0008-host-calls-split-a-graph.md.
 */
export function emitStagedModel(request: EmitRequest, graph: Pick<Graph, "noise">): StagedModel {
  const inputs = new Map(request.inputs);
  const { guard: _, ...unguarded } = request;
  const stages = hostCallsOf(request.outputs.values()).map((call, index): HostStage => {
    const { bytes, nodeCount, usedInputs } = emitModel({ ...unguarded, inputs, outputs: call.tensors });
    const used = new Set(usedInputs);
    const names = new Map([...call.results.keys()].map((name) => [name, `host:${index}:${name}`]));
    for (const [name, tensor] of call.results) inputs.set(names.get(name)!, tensor);
    return { bytes, nodeCount, used, noise: noiseInputs(graph, used), call, results: names };
  });
  const last = emitModel({ ...request, inputs });
  const nodeCount = stages.reduce((total, stage) => total + stage.nodeCount, last.nodeCount);
  return { ...last, nodeCount, stages };
}

/** The sessions of a graph's parts before its last one. */
export class HostStageSessions {
  readonly #stages: readonly HostStage[];
  readonly #sessions: readonly Session[];

  private constructor(stages: readonly HostStage[], sessions: readonly Session[]) {
    this.#stages = stages;
    this.#sessions = sessions;
  }

  /** @throws DeviceError */
  static async create(
    stages: readonly HostStage[],
    runtime: Runtime,
    options: SessionOptions,
  ): Promise<HostStageSessions> {
    const sessions: Session[] = [];
    try {
      for (const { bytes } of stages) sessions.push(await runtime.createSession(bytes, options));
      return new HostStageSessions(stages, sessions);
    } catch (error) {
      await Promise.all(sessions.map((session) => session.close()));
      throw error;
    }
  }

  /**
   * Runs the parts and the calls between them.
   * @param call the feeds, and the keys of the random numbers, of the last part
   * @returns what the host gave, by the input names of the last part
   * @throws DataError, ShapeError for results that are not as declared; whatever a function throws
   */
  async run(
    state: StateStore,
    { feeds, seed, step }: Required<Pick<StepCall, "feeds" | "seed" | "step">>,
  ): Promise<Record<string, HostTensor>> {
    const given: Record<string, HostTensor> = {};
    for (const [index, { call, used, noise, results }] of this.#stages.entries()) {
      const known = Object.entries({ ...feeds, ...given });
      const tensors = await this.#sessions[index]!.step(state, {
        feeds: Object.fromEntries(known.filter(([name]) => used.has(name))),
        fetches: [...call.tensors.keys()],
        next: {},
        noise,
        seed,
        step,
      });
      const values = await call.run(tensors);
      checkResults(call, values);
      for (const [name, inputName] of results) given[inputName] = values[name]!;
    }
    return given;
  }

  /** Where the nodes of each part ran. @throws DeviceError as `Session.placement` */
  async placements(): Promise<Placement[]> {
    return Promise.all(this.#sessions.map((session) => session.placement()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.close()));
  }
}

function checkResults({ results, scope }: HostCall, values: Readonly<Record<string, HostTensor>>): void {
  const where = `hostCall${scope && ` (in ${scope})`}`;
  const expected = [...results.keys()];
  const given = Object.keys(values);
  if (given.length !== expected.length || expected.some((name) => !given.includes(name))) {
    throw new DataError(
      `${where}: the function must give ${expected.join(", ") || "nothing"}; found ${given.join(", ") || "nothing"}`,
    );
  }
  for (const [name, { dtype, shape }] of results) {
    const what = `${where}: result ${name}`;
    checkHostTensor(what, values[name]!);
    checkFits(what, values[name]!, {
      dtype,
      shape: shape.map((size) => (typeof size === "number" ? size : String(size))),
    });
  }
}
