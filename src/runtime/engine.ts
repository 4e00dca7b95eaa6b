import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { DType, HostTensor } from "../base/dtype.js";
import { DeviceError, FoveaError } from "../base/errors.js";
import { ModelBuilder } from "../onnx/builder.js";
import { sessionTarget } from "./devices.js";
import { dtypeOfOrt, toHostTensor, toOrtTensor } from "./ort-tensor.js";
import type { LoadedOrt, OrtModule, TargetWriter } from "./platform.js";
import { deviceProvider } from "./session-options.js";

/** A tensor in the memory of a device. It can be read only by sessions of the engine that it comes from. */
export class DeviceTensor {
  readonly engine: Engine;
  readonly tensor: Tensor;
  readonly dtype: DType;
  readonly shape: readonly number[];

  constructor(engine: Engine, tensor: Tensor) {
    this.engine = engine;
    this.tensor = tensor;
    this.dtype = dtypeOfOrt("a tensor", tensor.type);
    this.shape = tensor.dims;
  }

  /** Frees the memory. */
  dispose(): void {
    this.tensor.dispose();
  }
}

/** A tensor on the host or on a device. */
export type Value = HostTensor | DeviceTensor;

/**
 * A loaded ONNX Runtime, and the ways of tensors to and from its devices. Values of a device's tensor are reached through a session
 * of one Identity node whose output lies on the other side: the tensor's own `getData` ends the process in Node.js.
 */
export class Engine {
  readonly ort: OrtModule;
  /** Threads of every session, where they belong to the module. */
  readonly threads: number | undefined;
  /** Whether a run writes results into tensors that it is given for them. */
  readonly writesTargets: boolean;
  /** Runs without copies of what was written into given tensors, where they need more than a run. */
  readonly targetWriter: TargetWriter | undefined;
  readonly #copying = new Map<string, InferenceSession>();

  constructor({ ort, threads, writesTargets, targetWriter }: LoadedOrt) {
    this.ort = ort;
    this.threads = threads;
    this.writesTargets = writesTargets;
    this.targetWriter = targetWriter;
  }

  /** A tensor over the same array. */
  tensor(value: HostTensor): Tensor {
    return toOrtTensor(this.ort.Tensor, value);
  }

  /** The value of a tensor that a run has returned, without a copy. */
  value(tensor: Tensor): Value {
    return tensor.location === "gpu-buffer" ? new DeviceTensor(this, tensor) : toHostTensor(tensor);
  }

  /**
   * Opens WebGPU and leaves it open: it ends with its last session, and with it the shaders that were compiled and the memory of the
   * tensors that are left, whose release would end the process.
   */
  async keepDevice(): Promise<void> {
    await this.#copySession("float32", 1, "gpu-buffer");
  }

  /** A copy in the memory of the WebGPU device. */
  async upload(value: HostTensor): Promise<DeviceTensor> {
    return new DeviceTensor(this, await this.#copy(this.tensor(value), "gpu-buffer"));
  }

  /** A copy on the host. */
  async download({ tensor }: DeviceTensor): Promise<HostTensor> {
    return toHostTensor(await this.#copy(tensor, "cpu"));
  }

  async #copy(tensor: Tensor, location: "cpu" | "gpu-buffer"): Promise<Tensor> {
    const dtype = dtypeOfOrt("a tensor", tensor.type);
    return guarded("a copy between host and device", async () => {
      const session = await this.#copySession(dtype, tensor.dims.length, location);
      const results = await session.run({ [names.input]: tensor });
      return results[names.output] as Tensor;
    });
  }

  async #copySession(dtype: DType, rank: number, location: "cpu" | "gpu-buffer"): Promise<InferenceSession> {
    const key = `${dtype} ${rank} ${location}`;
    let session = this.#copying.get(key);
    if (session === undefined) {
      session = await this.ort.InferenceSession.create(identityModel(dtype, rank), {
        executionProviders: [deviceProvider("webgpu")],
        preferredOutputLocation: { [names.output]: location },
        logSeverityLevel: 4,
      });
      this.#copying.set(key, session);
    }
    return session;
  }
}

const names = { input: "x", output: "y" } as const;

/** A model that gives its input of any sizes back. */
export function identityModel(dtype: DType, rank: number): Uint8Array {
  const builder = new ModelBuilder(sessionTarget("webgpu"));
  const shape = Array.from({ length: rank }, (_, axis) => `size${axis}`);
  const x = builder.input(names.input, dtype, shape);
  builder.output(names.output, dtype, shape, builder.node("Identity", [x]));
  return builder.build({ producerVersion: "0" });
}

/** Errors of ONNX Runtime as DeviceError. */
export async function guarded<T>(where: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof FoveaError) throw cause;
    throw new DeviceError(`${where}: ${plainMessage(cause)}`, { cause });
  }
}

/** The message of an error of ONNX Runtime without the place in its source. */
export function plainMessage(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/^\/?\S*onnxruntime_src\/\S+:\d+ .*? was false\. /s, "").trim();
}
