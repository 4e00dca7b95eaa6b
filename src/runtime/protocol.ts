import type { HostTensor } from "../base/dtype.js";
import { DataError, DeviceError, FormatError, OptionError, ShapeError } from "../base/errors.js";
import type { DeviceChoice, DeviceName } from "./devices.js";
import type { FeedMemory } from "./feed-memory.js";
import type { Placement, RuntimeInfo, SessionOptions, StepCall, TensorInfo } from "./types.js";

/** Tensors by name. */
export type Tensors = Readonly<Record<string, HostTensor>>;

/** Requests to the worker that holds the sessions: argument and result of each. */
export interface Requests {
  info: { argument: { readonly devices: boolean }; result: RuntimeInfo };
  resolveDevice: { argument: { readonly request: string }; result: DeviceChoice };
  channelBlock: { argument: { readonly device: DeviceName }; result: number | undefined };
  createSession: {
    argument: { readonly model: Uint8Array; readonly options: SessionOptions };
    result: {
      readonly id: number;
      readonly inputs: readonly TensorInfo[];
      readonly outputs: readonly TensorInfo[];
      readonly placedOn: DeviceChoice;
      readonly threads: number;
    };
  };
  run: {
    argument: {
      readonly session: number;
      readonly feeds: Tensors;
      readonly fetches: readonly string[] | undefined;
    };
    result: Record<string, HostTensor>;
  };
  step: {
    argument: { readonly session: number; readonly state: number; readonly call: StepCall };
    result: Record<string, HostTensor>;
  };
  placement: { argument: { readonly session: number }; result: Placement };
  endProfiling: { argument: { readonly session: number }; result: string };
  closeSession: { argument: { readonly session: number }; result: null };
  createState: { argument: { readonly values: Tensors }; result: number };
  readState: {
    argument: {
      readonly state: number;
      readonly names: readonly string[] | undefined;
      readonly previous: boolean;
    };
    result: Record<string, HostTensor>;
  };
  writeState: { argument: { readonly state: number; readonly values: Tensors }; result: null };
  revertState: { argument: { readonly state: number }; result: null };
  closeState: { argument: { readonly state: number }; result: null };
}

export type RequestName = keyof Requests;

/** Answers to every request. */
export type Handlers = {
  readonly [K in RequestName]: (argument: Requests[K]["argument"]) => Promise<Requests[K]["result"]>;
};

/** One end of a channel to or from a worker. */
export interface Port {
  post(message: unknown, transfer: readonly ArrayBuffer[]): void;
  listen(listener: (message: unknown) => void): void;
}

interface RequestMessage {
  readonly id: number;
  readonly name: RequestName;
  readonly argument: unknown;
}

type ResponseMessage =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

const errorClasses = { DataError, DeviceError, FormatError, OptionError, ShapeError };

/** The error of the other side, in the same class; any that is not ours becomes a DeviceError. */
function revive({ name, message }: { readonly name: string; readonly message: string }): Error {
  const known = errorClasses[name as keyof typeof errorClasses];
  return known === undefined ? new DeviceError(`${name}: ${message}`) : new known(message);
}

/** Buffers of tensors, each once, to be moved with a message. */
export function buffersOf(tensors: Tensors): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of Object.values(tensors)) {
    if (data.buffer instanceof ArrayBuffer) buffers.add(data.buffer);
  }
  return [...buffers];
}

/** Requests that are answered by tensors, which are moved with the answer. */
const answeredByTensors: ReadonlySet<RequestName> = new Set(["run", "step", "readState"]);

/** The asking side of a channel. */
export interface Client {
  /** Whether the other side has ended. */
  readonly failed: boolean;
  /** Whether the other side reads arrays where they lie, so that none has to be copied and moved. */
  readonly sharesMemory: boolean;
  /** Memory that the other side sees too, for copies of feeds; undefined where copies have to be moved. */
  readonly feedMemory?: FeedMemory | undefined;
  /** Sends a request. The buffers of `transfer` are moved. @throws DeviceError where the other side has ended */
  call<K extends RequestName>(
    name: K,
    argument: Requests[K]["argument"],
    transfer?: readonly ArrayBuffer[],
  ): Promise<Requests[K]["result"]>;
}

/** What a channel has beside its port. */
export interface ChannelOptions extends Pick<Client, "feedMemory"> {
  /** Called when a first request is under way. */
  readonly onBusy?: () => void;
  /** Called when none is left. */
  readonly onIdle?: () => void;
}

/** The asking side of a channel of messages. */
export class RequestClient implements Client {
  readonly sharesMemory = false;
  readonly feedMemory: FeedMemory | undefined;
  readonly #port: Port;
  readonly #pending = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  readonly #onBusy: () => void;
  readonly #onIdle: () => void;
  #failure: string | undefined;
  #nextId = 1;

  constructor(port: Port, { feedMemory, onBusy = () => {}, onIdle = () => {} }: ChannelOptions = {}) {
    this.feedMemory = feedMemory;
    this.#port = port;
    this.#onBusy = onBusy;
    this.#onIdle = onIdle;
    port.listen((message) => this.#receive(message as ResponseMessage));
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  call<K extends RequestName>(
    name: K,
    argument: Requests[K]["argument"],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Requests[K]["result"]> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) throw new DeviceError(this.#failure);
      const id = this.#nextId++;
      const message: RequestMessage = { id, name, argument };
      this.#port.post(message, transfer);
      this.#pending.set(id, { resolve, reject });
      if (this.#pending.size === 1) this.#onBusy();
    });
  }

  /** Rejects what is under way and everything that follows with a DeviceError. */
  fail(reason: string): void {
    this.#failure ??= reason;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new DeviceError(reason));
    if (pending.length > 0) this.#onIdle();
  }

  #receive(message: ResponseMessage): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    this.#pending.delete(message.id);
    if ("error" in message) pending.reject(revive(message.error));
    else pending.resolve(message.result as never);
    if (this.#pending.size === 0) this.#onIdle();
  }
}

/** Told before and after each request; where `enter` is false the request is not begun. */
export interface Gate {
  enter(): boolean;
  leave(): void;
}

/** The answering side: requests are answered one after the other, in the order in which they came. */
export function serveRequests(port: Port, handlers: Handlers, gate?: Gate): void {
  const answer = async ({ id, name, argument }: RequestMessage): Promise<void> => {
    try {
      const result = await (handlers[name] as (argument: unknown) => Promise<unknown>)(argument);
      port.post({ id, result }, answeredByTensors.has(name) ? buffersOf(result as Tensors) : []);
    } catch (error) {
      const { name: errorName, message } = error instanceof Error ? error : new Error(String(error));
      port.post({ id, error: { name: errorName, message } }, []);
    }
  };
  let last: Promise<void> = Promise.resolve();
  port.listen((message) => {
    last = last.then(async () => {
      if (gate?.enter() === false) return;
      await answer(message as RequestMessage);
      gate?.leave();
    });
  });
}
