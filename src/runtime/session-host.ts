import type { HostTensor } from "../base/dtype.js";
import { DeviceError } from "../base/errors.js";
import { findChannelBlock } from "./channel-block.js";
import { DeviceSelection } from "./device-selection.js";
import { type DeviceChoice, type DeviceStatus, hasDeviceMemory } from "./devices.js";
import { guarded } from "./engine.js";
import { HostedSession } from "./hosted-session.js";
import type { Platform } from "./platform.js";
import type { Handlers, Requests } from "./protocol.js";
import { checkSessionOptions, ortSessionOptions } from "./session-options.js";
import { StateTensors } from "./state.js";
import { lookUp } from "./tensor-check.js";
import type { Placement, RuntimeInfo } from "./types.js";

/**
 * Holds sessions and states and answers requests about them. Runs inside a worker, because ONNX Runtime computes on the
 * thread that calls it. Requests have to come one at a time (`serveRequests` sees to it).
 */
export class SessionHost implements Handlers {
  readonly #platform: Platform;
  readonly #selection: DeviceSelection;
  readonly #sessions = new Map<number, HostedSession>();
  readonly #states = new Map<number, StateTensors>();
  #channelBlock: Promise<number | undefined> | undefined;
  #nextId = 1;

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#selection = new DeviceSelection(platform);
  }

  readonly info = async ({ devices }: Requests["info"]["argument"]): Promise<RuntimeInfo> => {
    const { threads } = this.#platform;
    let about: Pick<RuntimeInfo, "version" | "providers"> = { version: undefined, providers: [] };
    try {
      about = await this.#platform.describe();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
    }
    const statuses: DeviceStatus[] = [];
    for (const device of devices ? this.#platform.devices : []) {
      statuses.push(await this.#selection.status(device));
    }
    return { ...about, threads, devices: statuses };
  };

  readonly resolveDevice = async ({
    request,
  }: Requests["resolveDevice"]["argument"]): Promise<DeviceChoice> =>
    this.#selection.resolve("device", request);

  readonly channelBlock = async ({
    device,
  }: Requests["channelBlock"]["argument"]): Promise<number | undefined> => {
    // WebAssembly has no such kernels, other devices have layouts of their own.
    if (device !== "cpu") return undefined;
    const { ort } = await this.#selection.engine(device);
    this.#channelBlock ??= findChannelBlock(ort);
    return this.#channelBlock;
  };

  readonly createSession = async ({
    model,
    options,
  }: Requests["createSession"]["argument"]): Promise<Requests["createSession"]["result"]> => {
    const { name = "session", deviceOutputs = [], placement = false } = options;
    checkSessionOptions(options);
    const placedOn = await this.#selection.resolve(name, options.device ?? "cpu");
    const { device } = placedOn;
    const engine = await this.#selection.engine(device, options.threads);
    const threads = engine.threads ?? options.threads ?? this.#platform.threads;
    const id = this.#nextId++;
    const profile = options.profile === undefined ? undefined : `${options.profile}_${id}`;
    const recorder = placement ? this.#platform.recordPlacement(device, id) : undefined;
    const bindsOutputs = hasDeviceMemory(device) && deviceOutputs.length > 0;
    // A session with results that become a state writes them into the state's memory.
    const targetWriter =
      deviceOutputs.length > 0 && !hasDeviceMemory(device) ? engine.targetWriter : undefined;
    // Others compute in between, or the data of the next step are made.
    const sharesCores = this.#sessions.size > 0 || deviceOutputs.length > 0;
    const places = Object.fromEntries(deviceOutputs.map((output) => [output, "gpu-buffer"] as const));
    const create = async () => {
      if (hasDeviceMemory(device)) await engine.keepDevice();
      return engine.ort.InferenceSession.create(targetWriter?.prepare(model) ?? model, {
        ...ortSessionOptions(device, threads, options, { sharesCores }),
        ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
        ...(bindsOutputs ? { preferredOutputLocation: places } : {}),
        ...recorder?.options,
      });
    };
    const session = await guarded(`${name}: the model cannot be loaded`, create).catch(
      async (error: unknown) => {
        const status = await this.#selection.status(device);
        if (status.available) throw error;
        throw new DeviceError(`${name}: device '${device}' is not available: ${status.reason}`, {
          cause: error,
        });
      },
    );
    try {
      const hosted = new HostedSession({
        name,
        engine,
        session,
        placedOn,
        profile,
        recorder,
        bindsOutputs,
        targetWriter,
      });
      const { inputs, outputs } = hosted;
      for (const output of deviceOutputs) lookUp(outputs, output, `${name}: output`);
      this.#sessions.set(id, hosted);
      return { id, inputs: [...inputs.values()], outputs: [...outputs.values()], placedOn, threads };
    } catch (error) {
      await session.release();
      throw error;
    }
  };

  readonly run = async ({
    session,
    feeds,
    fetches,
  }: Requests["run"]["argument"]): Promise<Record<string, HostTensor>> =>
    this.#session(session).run(feeds, fetches);

  readonly step = async ({
    session,
    state,
    call,
  }: Requests["step"]["argument"]): Promise<Record<string, HostTensor>> =>
    this.#session(session).step(this.#state(state), call);

  readonly placement = async ({ session }: Requests["placement"]["argument"]): Promise<Placement> =>
    this.#session(session).placement();

  readonly endProfiling = async ({ session }: Requests["endProfiling"]["argument"]): Promise<string> => {
    const hosted = this.#session(session);
    if (hosted.profile === undefined || this.#platform.profileFile === undefined) {
      throw new DeviceError(`${hosted.name} was created without a profile`);
    }
    await guarded(hosted.name, async () => hosted.session.endProfiling());
    return this.#platform.profileFile(hosted.profile);
  };

  readonly closeSession = async ({ session }: Requests["closeSession"]["argument"]): Promise<null> => {
    const hosted = this.#session(session);
    this.#sessions.delete(session);
    await hosted.release();
    return null;
  };

  readonly createState = async ({ values }: Requests["createState"]["argument"]): Promise<number> => {
    const state = new StateTensors(values);
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

  readonly closeState = async ({ state: id }: Requests["closeState"]["argument"]): Promise<null> => {
    this.#state(id).close();
    this.#states.delete(id);
    return null;
  };

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
