import type { InferenceSession, Tensor, TensorConstructor } from "onnxruntime-common";
import { checkInteger } from "../base/check.js";
import { type HostTensor, hostArray } from "../base/dtype.js";
import { DeviceError, FoveaError } from "../base/errors.js";
import { fillNormal, fillUniform } from "../base/random.js";
import { dtypeOfOrt, toHostTensor, toOrtTensor } from "./ort-tensor.js";
import type { Handlers, Requests, Tensors } from "./protocol.js";
import { checkedSessionOptions } from "./session-options.js";
import { StateTensors } from "./state.js";
import { checkFits, lookUp } from "./tensor-check.js";
import { type DeviceStatus, deviceNames, type RuntimeInfo, type StepCall, type TensorInfo } from "./types.js";

/** What the host needs of an ONNX Runtime module. */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
  readonly env: { logLevel?: "verbose" | "info" | "warning" | "error" | "fatal" };
}

/** The surroundings of the host: where ONNX Runtime comes from and what the platform has. */
export interface HostEnvironment {
  /** Loads ONNX Runtime. @throws DeviceError that names the remedy */
  load(): Promise<OrtModule>;
  /** Version, execution providers and devices of the ONNX Runtime that was loaded. */
  describe(): Pick<RuntimeInfo, "version" | "providers" | "devices">;
  /** Threads of a session unless told. */
  readonly threads: number;
  /** The profile that was written under a path prefix; absent where there are no files. */
  profileFile?(prefix: string): Promise<string>;
}

interface HostedSession {
  readonly name: string;
  readonly session: InferenceSession;
  readonly inputs: ReadonlyMap<string, TensorInfo>;
  readonly outputs: ReadonlyMap<string, TensorInfo>;
  readonly profile: string | undefined;
  /** Arrays of noise inputs, filled anew for each step. */
  readonly noise: Map<string, HostTensor>;
}

/**
 * Holds sessions and states and answers requests about them. Runs inside a worker, because ONNX Runtime computes on the
 * thread that calls it. Requests have to come one at a time (`serveRequests` sees to it).
 */
export class SessionHost implements Handlers {
  readonly #environment: HostEnvironment;
  readonly #sessions = new Map<number, HostedSession>();
  readonly #states = new Map<number, StateTensors>();
  #ort: OrtModule | undefined;
  #nextId = 1;

  constructor(environment: HostEnvironment) {
    this.#environment = environment;
  }

  readonly info = async (): Promise<RuntimeInfo> => {
    const { threads } = this.#environment;
    try {
      await this.#load();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      const devices = deviceNames.map(
        (device): DeviceStatus => ({ device, available: false, reason: error.message }),
      );
      return { version: undefined, providers: [], threads, devices };
    }
    return { threads, ...this.#environment.describe() };
  };

  readonly createSession = async ({
    model,
    options,
  }: Requests["createSession"]["argument"]): Promise<Requests["createSession"]["result"]> => {
    const id = this.#nextId++;
    const name = options.name ?? "session";
    const profile = options.profile === undefined ? undefined : `${options.profile}_${id}`;
    const ortOptions = checkedSessionOptions(options, this.#environment.threads, profile);
    const ort = await this.#load();
    const session = await guarded(`${name}: the model cannot be loaded`, () =>
      ort.InferenceSession.create(model, ortOptions),
    );
    try {
      const inputs = session.inputMetadata.map((metadata) => tensorInfo(name, metadata));
      const outputs = session.outputMetadata.map((metadata) => tensorInfo(name, metadata));
      const byName = (infos: readonly TensorInfo[]) => new Map(infos.map((info) => [info.name, info]));
      this.#sessions.set(id, {
        name,
        session,
        inputs: byName(inputs),
        outputs: byName(outputs),
        profile,
        noise: new Map(),
      });
      return { id, inputs, outputs };
    } catch (error) {
      await session.release();
      throw error;
    }
  };

  readonly run = async ({
    session: id,
    feeds,
    fetches,
  }: Requests["run"]["argument"]): Promise<Record<string, HostTensor>> => {
    const hosted = this.#session(id);
    const ort = await this.#load();
    const ortFeeds = feedTensors(ort, hosted, feeds);
    checkComplete(hosted, ortFeeds);
    const targets = Object.fromEntries(fetchNames(hosted, fetches).map((name) => [name, null]));
    return hostTensors(await runSession(hosted, ortFeeds, targets), Object.keys(targets));
  };

  readonly step = async ({
    session,
    state: stateId,
    call,
  }: Requests["step"]["argument"]): Promise<Record<string, HostTensor>> => {
    const hosted = this.#session(session);
    const state = this.#state(stateId);
    const ort = await this.#load();
    const feeds = feedTensors(ort, hosted, call.feeds);
    drawNoise(ort, hosted, call, feeds);
    for (const [name, info] of hosted.inputs) {
      const tensor = state.current(name);
      if (tensor === undefined) continue;
      if (feeds[name] !== undefined) {
        throw new DeviceError(`${hosted.name}: input '${name}' is fed and is a state as well`);
      }
      checkFits(`${hosted.name}: state '${name}'`, toHostTensor(tensor), info);
      feeds[name] = tensor;
    }
    checkComplete(hosted, feeds);

    const fetches = fetchNames(hosted, call.fetches);
    const targets: Record<string, Tensor | null> = Object.fromEntries(fetches.map((name) => [name, null]));
    const next = Object.entries(call.next);
    for (const [name, output] of next) {
      const info = lookUp(hosted.outputs, output, `${hosted.name}: output`);
      const spare = state.spare(name);
      if (targets[output]) {
        throw new DeviceError(`${hosted.name}: output '${output}' is the next value of two states`);
      }
      checkFits(`${hosted.name}: state '${name}', written by output '${output}',`, toHostTensor(spare), info);
      targets[output] = spare;
    }

    state.begin();
    const results = await runSession(hosted, feeds, targets);
    state.commit(next.map(([name]) => name));
    // Results are copies also of outputs that were written to a state's tensors.
    return hostTensors(results, fetches);
  };

  readonly endProfiling = async ({ session }: Requests["endProfiling"]["argument"]): Promise<string> => {
    const hosted = this.#session(session);
    if (hosted.profile === undefined || this.#environment.profileFile === undefined) {
      throw new DeviceError(`${hosted.name} was created without a profile`);
    }
    await guarded(hosted.name, async () => hosted.session.endProfiling());
    return this.#environment.profileFile(hosted.profile);
  };

  readonly closeSession = async ({ session }: Requests["closeSession"]["argument"]): Promise<null> => {
    const hosted = this.#session(session);
    this.#sessions.delete(session);
    await guarded(hosted.name, () => hosted.session.release());
    return null;
  };

  readonly createState = async ({ values }: Requests["createState"]["argument"]): Promise<number> => {
    const state = new StateTensors((await this.#load()).Tensor, values);
    const id = this.#nextId++;
    this.#states.set(id, state);
    return id;
  };

  readonly readState = async ({
    state,
    names,
    previous,
  }: Requests["readState"]["argument"]): Promise<Record<string, HostTensor>> =>
    this.#state(state).read(names, previous);

  readonly writeState = async ({ state, values }: Requests["writeState"]["argument"]): Promise<null> => {
    this.#state(state).write(values);
    return null;
  };

  readonly revertState = async ({ state }: Requests["revertState"]["argument"]): Promise<null> => {
    this.#state(state).revert();
    return null;
  };

  readonly closeState = async ({ state }: Requests["closeState"]["argument"]): Promise<null> => {
    this.#state(state);
    this.#states.delete(state);
    return null;
  };

  async #load(): Promise<OrtModule> {
    if (this.#ort === undefined) {
      this.#ort = await this.#environment.load();
      // Warnings are about rewriting and unused initializers; errors arrive as exceptions.
      this.#ort.env.logLevel = "fatal";
    }
    return this.#ort;
  }

  #session(id: number): HostedSession {
    const session = this.#sessions.get(id);
    if (session === undefined) throw new DeviceError("the session is closed");
    return session;
  }

  #state(id: number): StateTensors {
    const state = this.#states.get(id);
    if (state === undefined) throw new DeviceError("the state is closed");
    return state;
  }
}

/** Errors of ONNX Runtime as DeviceError. */
async function guarded<T>(where: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof FoveaError) throw cause;
    throw new DeviceError(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function tensorInfo(session: string, metadata: InferenceSession.ValueMetadata): TensorInfo {
  const what = `${session}: '${metadata.name}'`;
  if (!metadata.isTensor) throw new DeviceError(`${what} is not a tensor`);
  return { name: metadata.name, dtype: dtypeOfOrt(what, metadata.type), shape: [...metadata.shape] };
}

function feedTensors(
  ort: OrtModule,
  { name: session, inputs }: HostedSession,
  feeds: Tensors,
): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, tensor] of Object.entries(feeds)) {
    checkFits(`${session}: input '${name}'`, tensor, lookUp(inputs, name, `${session}: input`));
    tensors[name] = toOrtTensor(ort.Tensor, tensor);
  }
  return tensors;
}

/** Adds the tensors of the noise inputs to `feeds`. */
function drawNoise(
  ort: OrtModule,
  hosted: HostedSession,
  call: StepCall,
  feeds: Record<string, Tensor>,
): void {
  if (call.noise === undefined || call.noise.length === 0) return;
  const { seed, step } = call;
  checkInteger(`${hosted.name}: noise`, "seed", seed);
  checkInteger(`${hosted.name}: noise`, "step", step);
  for (const { name, shape, distribution, stream } of call.noise) {
    const what = `${hosted.name}: noise '${name}'`;
    if (feeds[name] !== undefined) throw new DeviceError(`${what} is fed as well, or listed twice`);
    const info = lookUp(hosted.inputs, name, `${hosted.name}: input`);
    checkFits(what, { dtype: "float32", shape }, info);
    let tensor = hosted.noise.get(name);
    if (tensor === undefined || tensor.shape.join() !== shape.join()) {
      tensor = {
        dtype: "float32",
        shape,
        data: hostArray(
          "float32",
          shape.reduce((count, size) => count * size, 1),
        ),
      };
      hosted.noise.set(name, tensor);
    }
    const fill = distribution === "uniform" ? fillUniform : fillNormal;
    fill(tensor.data as Float32Array, { seed: seed as number, stream, step: step as number });
    feeds[name] = toOrtTensor(ort.Tensor, tensor);
  }
}

function checkComplete({ name, inputs }: HostedSession, feeds: Readonly<Record<string, Tensor>>): void {
  const missing = [...inputs.keys()].filter((input) => feeds[input] === undefined);
  if (missing.length > 0)
    throw new DeviceError(
      `${name}: nothing is fed to input ${missing.map((input) => `'${input}'`).join(", ")}`,
    );
}

/** Names of outputs, each once. */
function fetchNames(
  { name: session, outputs }: HostedSession,
  fetches: readonly string[] | undefined,
): string[] {
  if (fetches === undefined) return [...outputs.keys()];
  for (const name of fetches) lookUp(outputs, name, `${session}: output`);
  return [...new Set(fetches)];
}

async function runSession(
  { name, session }: HostedSession,
  feeds: Readonly<Record<string, Tensor>>,
  targets: Readonly<Record<string, Tensor | null>>,
): Promise<Readonly<Record<string, Tensor>>> {
  return guarded(name, async () => (await session.run(feeds, targets)) as Readonly<Record<string, Tensor>>);
}

function hostTensors(
  results: Readonly<Record<string, Tensor>>,
  names: readonly string[],
): Record<string, HostTensor> {
  return Object.fromEntries(names.map((name) => [name, toHostTensor(results[name]!)]));
}
