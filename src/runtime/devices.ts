import { DeviceError } from "../base/errors.js";
import type { Target } from "../graph/emitter.js";
import { sessionOpset } from "../onnx/emit.js";

/** Devices that fovea knows by name. `cpu` is native code, `wasm` the CPU of a browser. */
export const deviceNames = ["cpu", "wasm", "webgpu", "cuda"] as const;
export type DeviceName = (typeof deviceNames)[number];

/** A device, or `auto` for the fastest that the platform can be sure of. */
export type DeviceRequest = DeviceName | "auto";

/** The device that sessions really run on, and why. */
export interface DeviceChoice {
  readonly device: DeviceName;
  readonly reason: string;
}

/** Whether sessions can be created for a device, and if not, why. */
export type DeviceStatus =
  | {
      readonly device: DeviceName;
      readonly available: true;
      /** What is known of it: the adapter's name, the number of threads. */
      readonly note?: string;
      /** A GPU that the CPU imitates. */
      readonly software?: boolean;
    }
  | { readonly device: DeviceName; readonly available: false; readonly reason: string };

/** @throws DeviceError for a name that is no device */
export function checkDeviceRequest(where: string, request: string): DeviceRequest {
  const known: readonly string[] = [...deviceNames, "auto"];
  if (!known.includes(request)) {
    throw new DeviceError(`${where}: device '${request}' is unknown; known are: ${known.join(", ")}`);
  }
  return request as DeviceRequest;
}

/** Newest operator set for which WebGPU has every kernel that it has at all: grid sampling ends there. */
const webGpuOpset = 19;

/** True for devices whose tensors can stay in the device's own memory between runs. */
export function hasDeviceMemory(device: DeviceName): boolean {
  return device === "webgpu";
}

/**
 * The form in which models are emitted for sessions of a device.
 * @param channelBlock of models whose weights are no constants: what `Runtime.channelBlock` found
 */
export function sessionTarget(device: DeviceName, channelBlock?: number): Target {
  switch (device) {
    case "cpu":
    case "wasm":
      return { kind: "cpu", opset: sessionOpset, ...(channelBlock === undefined ? {} : { channelBlock }) };
    case "webgpu":
      return { kind: "webgpu", opset: webGpuOpset };
    case "cuda":
      return { kind: "portable", opset: sessionOpset };
  }
}
