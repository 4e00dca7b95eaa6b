import type { DType, HostTensor } from "../base/dtype.js";
import type { Distribution } from "../base/noise.js";
import type { DeviceChoice, DeviceName, DeviceStatus } from "./devices.js";

/** What the runtime found on this machine. */
export interface RuntimeInfo {
  /** Version of ONNX Runtime; undefined where it cannot be loaded. */
  readonly version: string | undefined;
  /** Execution providers that are part of the installed ONNX Runtime. */
  readonly providers: readonly string[];
  /** Threads that a session uses unless told. */
  readonly threads: number;
  /** The devices of this platform, each tried by loading a small model; none where they were not asked for. */
  readonly devices: readonly DeviceStatus[];
}

export interface SessionOptions {
  /** Where the session runs: `cpu` (in a browser `wasm`) unless told, `wasm`, `webgpu`, `cuda` or `auto`. */
  readonly device?: string;
  /** Threads of the session; as many as `RuntimeInfo.threads` unless told. In a browser all sessions have the same. */
  readonly threads?: number;
  /**
   * Outputs that stay in the memory of a device that has its own (webgpu): those that become the next values of a state.
   * An output that is not named here comes to the host after every run.
   */
  readonly deviceOutputs?: readonly string[];
  /** Records where the nodes run; see `Session.placement`. Costs a profile of the first runs; false unless told. */
  readonly placement?: boolean;
  /** ONNX Runtime's own graph rewriting; "all" unless told. */
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "all";
  /**
   * Waiting threads spin, which is faster while nothing else needs the cores. Unless told they spin between the operators of a run, and
   * between runs where the session is the runtime's first and no training step; `true`: always, `false`: never.
   */
  readonly spinning?: boolean;
  /** Constant weights are kept a second time in the layout that the kernels like; true unless told. */
  readonly prepacking?: boolean;
  /** Writes a profile (trace-event JSON) to a file that begins with this path; see `Session.endProfiling`. */
  readonly profile?: string;
  /** The session's name in error messages. */
  readonly name?: string;
}

/** An input or output of a session. A size is a number or the name of a symbolic size. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

/** Random input of a step, drawn beside the session: the values depend on (seed, stream, step) alone. */
export interface Noise {
  /** Name of the input. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly distribution: Distribution;
  readonly stream: string;
}

/** One step of a model over a state. */
export interface StepCall {
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** Outputs that are returned, such as the loss. */
  readonly fetches: readonly string[];
  /** By name of a state: the output that becomes its new value. A state that is not named keeps its value. */
  readonly next: Readonly<Record<string, string>>;
  /**
   * States whose new value may be written where the present one lies, as far as the device can: the model has to read each element
   * before it writes it. They cannot be reverted, and a run that fails on the way leaves them partly written.
   */
  readonly overwrites?: readonly string[];
  readonly noise?: readonly Noise[];
  /** Key of the noise; required where there is noise. */
  readonly seed?: number;
  /** Key of the noise; required where there is noise. */
  readonly step?: number;
  /** Hands the feeds' arrays over instead of copying them; they are empty afterwards. */
  readonly transfer?: boolean;
}

/** Where the nodes of a session run, after ONNX Runtime's own rewriting. */
export interface Placement {
  /** Number of nodes by execution provider, in lower case: `cpu`, `webgpu`. */
  readonly nodes: Readonly<Record<string, number>>;
  /** Operators that run on the CPU although the session's device is another one, with their number of nodes. */
  readonly fallbacks: Readonly<Record<string, number>>;
  /** Copies between host and device that ONNX Runtime has inserted. */
  readonly copies: number;
}

/** A loaded model. Requests are carried out in the order in which they were made. */
export interface Session {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** The device that was really taken, and why. */
  readonly placedOn: DeviceChoice;
  /** Threads of the session. */
  readonly threads: number;
  /**
   * Runs the model and returns the outputs named by `fetches`, or all.
   * @throws ShapeError for a feed of the wrong dtype or shape; DeviceError for unknown or missing names, a closed
   *   session, or a failure of ONNX Runtime
   */
  run(
    feeds: Readonly<Record<string, HostTensor>>,
    fetches?: readonly string[],
    options?: { readonly transfer?: boolean },
  ): Promise<Record<string, HostTensor>>;
  /**
   * Runs the model with the state's tensors as the inputs of the same names, and makes outputs the state's new values.
   * Where it fails the state is as before.
   * @throws as `run`
   */
  step(state: StateStore, call: StepCall): Promise<Record<string, HostTensor>>;
  /**
   * Where the nodes ran. Ends the recording: later calls give the same.
   * @throws DeviceError where the session was created without `placement`, or has not run yet
   */
  placement(): Promise<Placement>;
  /** Ends profiling and returns the path of the file; only where the device's runtime writes files. */
  endProfiling?(): Promise<string>;
  /** Releases the model; again is fine. */
  close(): Promise<void>;
}

/** Named tensors that stay beside the sessions: parameters, buffers, optimizer state. */
export interface StateStore {
  /** Copies of the values, of all states unless told. @throws DeviceError for an unknown name */
  read(names?: readonly string[]): Promise<Record<string, HostTensor>>;
  /** As `read`, the values before the last step; the present ones where there is no last step, or it wrote over them. */
  readPrevious(names?: readonly string[]): Promise<Record<string, HostTensor>>;
  /**
   * Sets values, of the same dtypes and shapes. The last step can no longer be reverted.
   * @throws DeviceError for an unknown name; ShapeError for another dtype or shape
   */
  write(values: Readonly<Record<string, HostTensor>>): Promise<void>;
  /** Throws the last step away; states that it wrote over stay. @throws DeviceError where there is none, or it was reverted or written over */
  revert(): Promise<void>;
  /** Releases the tensors; again is fine. */
  close(): Promise<void>;
}

/** An ONNX Runtime behind a worker. */
export interface Runtime {
  /**
   * Loads an ONNX model.
   * @param handling.transfer hands the bytes over instead of copying them; they are empty afterwards
   * @throws DeviceError, OptionError
   */
  createSession(
    model: Uint8Array,
    options?: SessionOptions,
    handling?: { readonly transfer?: boolean },
  ): Promise<Session>;
  /** Keeps copies of tensors beside the sessions. @throws ShapeError for arrays that do not fit their shape */
  createState(values: Readonly<Record<string, HostTensor>>): Promise<StateStore>;
  /** The device that a request means here, so that a model can be emitted for it. @throws DeviceError */
  resolveDevice(request?: string): Promise<DeviceChoice>;
  /**
   * Channels in a block of the layout in which convolutions with changing weights are fastest on a device (`Target.channelBlock`);
   * undefined where it has none. Tried out once.
   */
  channelBlock(device: DeviceName): Promise<number | undefined>;
  /** @param options.devices tries every device, which may take a second; true unless told */
  info(options?: { readonly devices?: boolean }): Promise<RuntimeInfo>;
}
