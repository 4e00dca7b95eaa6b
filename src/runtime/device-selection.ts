import { DeviceError } from "../base/errors.js";
import { checkDeviceRequest, type DeviceChoice, type DeviceName, type DeviceStatus } from "./devices.js";
import { Engine, identityModel, plainMessage } from "./engine.js";
import type { OrtModule, Platform } from "./platform.js";
import { deviceProvider } from "./session-options.js";

/** Finds out which devices there are, and loads the ONNX Runtime of each when it is first needed. */
export class DeviceSelection {
  readonly #platform: Platform;
  readonly #engines = new Map<OrtModule, Engine>();
  readonly #statuses = new Map<DeviceName, Promise<DeviceStatus>>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** The engine that serves a device. @throws DeviceError where ONNX Runtime cannot be loaded */
  async engine(device: DeviceName, threads?: number): Promise<Engine> {
    const loaded = await this.#platform.load(device, threads);
    let engine = this.#engines.get(loaded.ort);
    if (engine === undefined) {
      // Warnings are about rewriting and unused initializers; errors arrive as exceptions.
      loaded.ort.env.logLevel = "fatal";
      engine = new Engine(loaded);
      this.#engines.set(loaded.ort, engine);
    }
    return engine;
  }

  /** The device that a request means here. Only `auto` is tried out. @throws DeviceError for a device that is unknown or not there */
  async resolve(where: string, request: string): Promise<DeviceChoice> {
    const known = checkDeviceRequest(where, request);
    const candidates = this.#platform.candidates(known);
    const explanation = this.#platform.explain(known);
    const [only, ...others] = candidates;
    if (only === undefined) throw new DeviceError(`${where}: device '${request}': ${explanation}`);
    if (others.length === 0) return { device: only, reason: explanation ?? "as requested" };
    const refused: string[] = explanation === undefined ? [] : [explanation];
    for (const device of candidates) {
      const status = await this.status(device);
      if (status.available && !status.software) {
        const note = status.note === undefined ? [] : [status.note];
        return { device, reason: [...refused, ...note].join("; ") || "the fastest device" };
      }
      refused.push(
        status.available
          ? `${device} is a software adapter${status.note === undefined ? "" : ` (${status.note})`}`
          : `${device} is not available: ${status.reason}`,
      );
    }
    throw new DeviceError(`${where}: no device can be used: ${refused.join("; ")}`);
  }

  /** Whether sessions can be created for a device, found out by creating one and running it. */
  status(device: DeviceName): Promise<DeviceStatus> {
    let status = this.#statuses.get(device);
    if (status === undefined) {
      status = this.#try(device);
      this.#statuses.set(device, status);
    }
    return status;
  }

  async #try(device: DeviceName): Promise<DeviceStatus> {
    try {
      const found = await this.#platform.inspect(device);
      if (!found.available) return { device, ...found };
      const { ort } = await this.engine(device);
      const session = await ort.InferenceSession.create(identityModel("float32", 1), {
        executionProviders: [deviceProvider(device)],
        logSeverityLevel: 4,
      });
      try {
        await session.run({ x: new ort.Tensor("float32", Float32Array.of(1), [1]) });
      } finally {
        await session.release();
      }
      return { device, ...found };
    } catch (error) {
      if (error instanceof DeviceError) return { device, available: false, reason: error.message };
      const reason = `${plainMessage(error)}. ${this.#platform.remedy(device)}`;
      return { device, available: false, reason };
    }
  }
}
