import { type HostArray, type HostTensor, hostArray } from "../base/dtype.js";
import { DeviceError } from "../base/errors.js";
import type { DeviceChoice, DeviceName } from "./devices.js";
import type { FeedMemory } from "./feed-memory.js";
import { buffersOf, type Client, type Requests, type Tensors } from "./protocol.js";
import { checkFits, checkHostTensor, lookUp } from "./tensor-check.js";
import type {
  Placement,
  Runtime,
  RuntimeInfo,
  Session,
  SessionOptions,
  StateStore,
  StepCall,
  TensorInfo,
} from "./types.js";

/** A runtime whose sessions live behind a channel. `connect` opens the channel, or gives the one that is open. */
export class RemoteRuntime implements Runtime {
  readonly #connect: () => Client;

  constructor(connect: () => Client) {
    this.#connect = connect;
  }

  async createSession(
    model: Uint8Array,
    options: SessionOptions = {},
    { transfer = false }: { readonly transfer?: boolean } = {},
  ): Promise<Session> {
    const client = this.#connect();
    // A message would carry the whole buffer behind a view; a copy that is moved carries what is needed.
    const moved = transfer && ownsBuffer(model) ? model : new Uint8Array(model);
    const created = await client.call("createSession", { model: moved, options }, [
      moved.buffer as ArrayBuffer,
    ]);
    return new RemoteSession(client, options.name ?? "session", created);
  }

  async createState(values: Tensors): Promise<StateStore> {
    const client = this.#connect();
    const copies = prepareState(values);
    return new RemoteState(client, await client.call("createState", { values: copies }, buffersOf(copies)));
  }

  async resolveDevice(request = "cpu"): Promise<DeviceChoice> {
    return this.#connect().call("resolveDevice", { request });
  }

  async channelBlock(device: DeviceName): Promise<number | undefined> {
    return this.#connect().call("channelBlock", { device });
  }

  async info({ devices = true }: { readonly devices?: boolean } = {}): Promise<RuntimeInfo> {
    return this.#connect().call("info", { devices });
  }
}

class RemoteSession implements Session {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly placedOn: DeviceChoice;
  readonly threads: number;
  readonly #client: Client;
  readonly #id: number;
  readonly #name: string;
  readonly #inputsByName: ReadonlyMap<string, TensorInfo>;
  #closed: Promise<void> | undefined;

  constructor(client: Client, name: string, created: Requests["createSession"]["result"]) {
    this.#client = client;
    this.#id = created.id;
    this.#name = name;
    this.inputs = created.inputs;
    this.outputs = created.outputs;
    this.placedOn = created.placedOn;
    this.threads = created.threads;
    this.#inputsByName = new Map(created.inputs.map((info) => [info.name, info]));
  }

  async run(
    feeds: Tensors,
    fetches?: readonly string[],
    options: { readonly transfer?: boolean } = {},
  ): Promise<Record<string, HostTensor>> {
    this.#checkOpen();
    const { transfer = false } = options;
    const prepared = this.#prepareFeeds(feeds, transfer);
    const argument = { session: this.#id, feeds: prepared, fetches };
    return this.#afterwards(this.#client.call("run", argument, buffersOf(prepared)), prepared);
  }

  async step(state: StateStore, call: StepCall): Promise<Record<string, HostTensor>> {
    this.#checkOpen();
    if (!(state instanceof RemoteState) || !state.livesIn(this.#client)) {
      throw new DeviceError(
        `${this.#name}: the state belongs to another runtime or to a worker that has ended`,
      );
    }
    const { transfer = false } = call;
    const feeds = this.#prepareFeeds(call.feeds, transfer);
    const argument = { session: this.#id, state: state.openId(), call: { ...call, feeds } };
    return this.#afterwards(this.#client.call("step", argument, buffersOf(feeds)), feeds);
  }

  async placement(): Promise<Placement> {
    this.#checkOpen();
    return this.#client.call("placement", { session: this.#id });
  }

  async endProfiling(): Promise<string> {
    this.#checkOpen();
    return this.#client.call("endProfiling", { session: this.#id });
  }

  async close(): Promise<void> {
    this.#closed ??= close(this.#client, () => this.#client.call("closeSession", { session: this.#id }));
    await this.#closed;
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new DeviceError(`${this.#name} is closed`);
  }

  /** Checked here, so that a refused feed is not lost to its owner by the transfer. */
  #prepareFeeds(feeds: Tensors, transfer: boolean): Tensors {
    for (const [name, tensor] of Object.entries(feeds)) {
      const info = lookUp(this.#inputsByName, name, `${this.#name}: input`);
      checkFits(`${this.#name}: input '${name}'`, tensor, info);
      checkHostTensor(`${this.#name}: input '${name}'`, tensor);
    }
    return this.#client.sharesMemory ? feeds : prepare(feeds, transfer, this.#client.feedMemory);
  }

  /** The answer to a call; the memory of what it was fed is free then. */
  async #afterwards<T>(answer: Promise<T>, feeds: Tensors): Promise<T> {
    try {
      return await answer;
    } finally {
      for (const { data } of Object.values(feeds)) this.#client.feedMemory?.release(data);
    }
  }
}

class RemoteState implements StateStore {
  readonly #client: Client;
  readonly #id: number;
  #closed: Promise<void> | undefined;

  constructor(client: Client, id: number) {
    this.#client = client;
    this.#id = id;
  }

  livesIn(client: Client): boolean {
    return client === this.#client;
  }

  /** @throws DeviceError when closed */
  openId(): number {
    if (this.#closed !== undefined) throw new DeviceError("the state is closed");
    return this.#id;
  }

  async read(names?: readonly string[]): Promise<Record<string, HostTensor>> {
    return this.#client.call("readState", { state: this.openId(), names, previous: false });
  }

  async readPrevious(names?: readonly string[]): Promise<Record<string, HostTensor>> {
    return this.#client.call("readState", { state: this.openId(), names, previous: true });
  }

  async write(values: Tensors): Promise<void> {
    const state = this.openId();
    const copies = prepareState(values);
    await this.#client.call("writeState", { state, values: copies }, buffersOf(copies));
  }

  async revert(): Promise<void> {
    await this.#client.call("revertState", { state: this.openId() });
  }

  async close(): Promise<void> {
    this.#closed ??= close(this.#client, () => this.#client.call("closeState", { state: this.#id }));
    await this.#closed;
  }
}

/** Copies of a state's values that can be moved. @throws ShapeError */
function prepareState(values: Tensors): Tensors {
  for (const [name, tensor] of Object.entries(values)) checkHostTensor(`state '${name}'`, tensor);
  return prepare(values, false);
}

/** Asks to close something; where the worker has ended it is closed already. */
async function close(client: Client, ask: () => Promise<null>): Promise<void> {
  try {
    await ask();
  } catch (error) {
    if (!client.failed) throw error;
  }
}

/**
 * Tensors to be sent: copies, in memory that both sides see where there is such, or with `transfer` the arrays themselves where they own
 * their buffer (a view's buffer holds other values too, and a shared buffer cannot be moved).
 */
function prepare(tensors: Tensors, transfer: boolean, memory?: FeedMemory): Tensors {
  const prepared: Record<string, HostTensor> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const { dtype, shape, data } = tensor;
    const isMoved = transfer && ownsBuffer(data);
    prepared[name] = {
      dtype,
      shape: [...shape],
      data: isMoved ? data : (memory?.copyOf(tensor) ?? copyOf(tensor)),
    };
  }
  return prepared;
}

/** True for an array whose buffer holds nothing else and can be moved. */
function ownsBuffer({ buffer, byteLength }: ArrayBufferView): boolean {
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength;
}

/** A copy in a buffer of its own (`slice` of a Node.js Buffer would share one). */
function copyOf({ dtype, data }: HostTensor): HostArray {
  const copy = hostArray(dtype, data.length);
  copy.set(data as never);
  return copy;
}
