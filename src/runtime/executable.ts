import type { HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import { version } from "../base/version.js";
import type { Graph } from "../graph/model.js";
import { selectTaps } from "../graph/select-taps.js";
import type { DeviceChoice } from "./devices.js";
import { endProfiling } from "./end-profiling.js";
import { emitStagedModel, HostStageSessions } from "./host-stages.js";
import { modelTarget } from "./model-target.js";
import { namedNoise, noiseInputs } from "./noise.js";
import { mergePlacements } from "./profile-placement.js";
import { defaultRuntime } from "./provider.js";
import type { Noise, Placement, Runtime, Session, SessionOptions, StateStore } from "./types.js";

/** Options of `compile`. */
export interface CompileOptions extends SessionOptions {
  /** Patterns of taps to return, `*` for any characters: `"*.attention"`. */
  readonly taps?: readonly string[];
  /** Key of the random inputs of a graph in training mode; 0 by default. */
  readonly seed?: number;
  readonly runtime?: Runtime;
}

/** What a run returns: the outputs and the requested taps, on the host. */
export interface RunResult {
  readonly outputs: Readonly<Record<string, HostTensor>>;
  readonly taps: Readonly<Record<string, HostTensor>>;
  /** New values of updated buffers, by path; empty for evaluation. */
  readonly updates: Readonly<Record<string, HostTensor>>;
}

const prefixes = { output: "output:", tap: "tap:", update: "update:" } as const;

/** A graph that is loaded into a session, with the values that its variables had when it was compiled. */
export class Executable {
  /** Nodes of the emitted model. */
  readonly nodeCount: number;
  readonly #session: Session;
  /** What runs before the session, where the host decides in between. */
  readonly #hostStages: HostStageSessions;
  /** Holds nothing: steps over it are runs with noise. */
  readonly #state: StateStore;
  readonly #graph: Graph;
  readonly #usedInputs: ReadonlySet<string>;
  readonly #fetches: readonly string[];
  readonly #noise: readonly Noise[];
  readonly #seed: number;
  #runs = 0;

  constructor(parts: {
    session: Session;
    hostStages: HostStageSessions;
    state: StateStore;
    graph: Graph;
    usedInputs: readonly string[];
    nodeCount: number;
    seed: number;
  }) {
    this.#session = parts.session;
    this.#hostStages = parts.hostStages;
    this.#state = parts.state;
    this.#graph = parts.graph;
    this.#usedInputs = new Set(parts.usedInputs);
    this.#fetches = parts.session.outputs.map(({ name }) => name);
    this.#noise = noiseInputs(parts.graph, this.#usedInputs);
    this.#seed = parts.seed;
    this.nodeCount = parts.nodeCount;
  }

  /**
   * Runs the graph.
   * @param inputs values by input name
   * @param options.step key of the random inputs; counts up by default
   * @throws OptionError for a missing or unknown input; ShapeError for another shape or dtype; DeviceError after `close`
   */
  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    options: { readonly step?: number } = {},
  ): Promise<RunResult> {
    const expected = [...this.#graph.inputs.keys()];
    const given = Object.keys(inputs);
    if (expected.some((name) => !given.includes(name)) || given.some((name) => !expected.includes(name))) {
      throw new OptionError(`inputs must be ${expected.join(", ")}; found ${given.join(", ") || "none"}`);
    }
    const keys = { seed: this.#seed, step: options.step ?? this.#runs++ };
    const fromHost = await this.#hostStages.run(this.#state, { feeds: inputs, ...keys });
    const feeds = Object.entries({ ...inputs, ...fromHost });
    const results = await this.#session.step(this.#state, {
      feeds: Object.fromEntries(feeds.filter(([name]) => this.#usedInputs.has(name))),
      fetches: this.#fetches,
      next: {},
      noise: this.#noise,
      ...keys,
    });
    const group = (prefix: string) =>
      Object.fromEntries(
        Object.entries(results)
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, value]) => [name.slice(prefix.length), value]),
      );
    return { outputs: group(prefixes.output), taps: group(prefixes.tap), updates: group(prefixes.update) };
  }

  /** The device that was really taken, and why. */
  get placedOn(): DeviceChoice {
    return this.#session.placedOn;
  }

  /** Where the nodes ran. @throws DeviceError where it was compiled without `placement`, or has not run */
  async placement(): Promise<Placement> {
    return mergePlacements([...(await this.#hostStages.placements()), await this.#session.placement()]);
  }

  /** Ends the profile that `profile` asked for and returns the path of its file. @throws DeviceError where there is none */
  async endProfiling(): Promise<string> {
    return endProfiling(this.#session);
  }

  /** Releases the session; again is fine. */
  async close(): Promise<void> {
    await this.#session.close();
    await this.#hostStages.close();
    await this.#state.close();
  }
}

/**
 * Loads a graph into a session, its variables with their present values inside.
 * @throws OptionError for an unknown tap; DeviceError where the device cannot be used
 */
export async function compile(graph: Graph, options: CompileOptions = {}): Promise<Executable> {
  const { taps = [], seed = 0, runtime = defaultRuntime(), ...sessionOptions } = options;
  for (const [path, variable] of graph.variables) variable.initialize({ seed: 0, path });
  const { device } = await runtime.resolveDevice(sessionOptions.device);
  const pathOf = new Map([...graph.variables].map(([path, variable]) => [variable, path]));
  const outputs = new Map([
    ...[...graph.outputs].map(([name, tensor]) => [prefixes.output + name, tensor] as const),
    ...[...selectTaps(graph, taps)].map(([name, tensor]) => [prefixes.tap + name, tensor] as const),
    ...[...graph.updates].map(
      ([variable, tensor]) => [prefixes.update + pathOf.get(variable), tensor] as const,
    ),
  ]);
  const model = emitStagedModel(
    {
      target: await modelTarget(runtime, device, "initializers", [...outputs.values()]),
      inputs: new Map([...graph.inputs, ...namedNoise(graph)]),
      variables: graph.variables,
      variablesAs: "initializers",
      outputs,
      producerVersion: version,
    },
    graph,
  );
  const { usedInputs, nodeCount } = model;
  const session = await runtime.createSession(model.bytes, sessionOptions, { transfer: true });
  let hostStages: HostStageSessions | undefined;
  try {
    hostStages = await HostStageSessions.create(model.stages, runtime, sessionOptions);
    const state = await runtime.createState({});
    return new Executable({ session, hostStages, state, graph, usedInputs, nodeCount, seed });
  } catch (error) {
    await session.close();
    await hostStages?.close();
    throw error;
  }
}
