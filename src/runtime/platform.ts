import type { Env, InferenceSession, Tensor, TensorConstructor } from "onnxruntime-common";
import type { DeviceName, DeviceRequest } from "./devices.js";
import type { Placement, RuntimeInfo } from "./types.js";

/** What is needed of an ONNX Runtime module. */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
  readonly env: Pick<Env, "logLevel">;
}

/** An ONNX Runtime that was loaded. */
export interface LoadedOrt {
  readonly ort: OrtModule;
  /** Threads of every session, where they belong to the module. */
  readonly threads?: number;
  /** Whether a run writes results into tensors on the host that it is given for them. */
  readonly writesTargets: boolean;
  /** Where a run copies results although it has written them into such tensors: how it does not. */
  readonly targetWriter?: TargetWriter | undefined;
}

/** Runs of which nothing comes back but what they write into the tensors that they are given. */
export interface TargetWriter {
  /** An output that models for such runs have beside their own. */
  readonly extraOutput: string;
  /** The model that has to be loaded for such runs. */
  prepare(model: Uint8Array): Uint8Array;
  /** @param targets of all outputs that are wanted */
  run(
    session: InferenceSession,
    feeds: Readonly<Record<string, Tensor>>,
    targets: Readonly<Record<string, Tensor>>,
    options?: InferenceSession.RunOptions,
  ): Promise<void>;
}

/** What a platform knows of a device without creating a session. */
export type DeviceInspection =
  | { readonly available: true; readonly note?: string; readonly software?: boolean }
  | { readonly available: false; readonly reason: string };

/** Collects where the nodes of a session run. */
export interface PlacementRecorder {
  /** Options that the session has to be created with. */
  readonly options: InferenceSession.SessionOptions;
  /** Options of its runs. */
  readonly runOptions?: InferenceSession.RunOptions;
  /** What was recorded; `session` has run at least once. Ends the recording. */
  result(session: InferenceSession): Promise<Placement>;
}

/** The surroundings of the host: where ONNX Runtime comes from and what the platform has. */
export interface Platform {
  /** Devices that `info` reports. */
  readonly devices: readonly DeviceName[];
  /** Devices that stand for a request, the best first; none where the platform never has it. */
  candidates(request: DeviceRequest): readonly DeviceName[];
  /** Why `candidates` are what they are, where a request is not taken literally or cannot be met. */
  explain(request: DeviceRequest): string | undefined;
  /** Loads the ONNX Runtime that serves a device. @throws DeviceError that names the remedy */
  load(device: DeviceName, threads: number | undefined): Promise<LoadedOrt>;
  inspect(device: DeviceName): Promise<DeviceInspection>;
  /** What to do where ONNX Runtime cannot use a device. */
  remedy(device: DeviceName): string;
  /** Version and execution providers of ONNX Runtime. @throws DeviceError where it cannot be loaded */
  describe(): Promise<Pick<RuntimeInfo, "version" | "providers">>;
  /** Threads of a session unless told. */
  readonly threads: number;
  /** Starts to record where the nodes of a session that is about to be created run. */
  recordPlacement(device: DeviceName, id: number): PlacementRecorder;
  /** The profile that was written under a path prefix; absent where there are no files. */
  profileFile?(prefix: string): Promise<string>;
}
