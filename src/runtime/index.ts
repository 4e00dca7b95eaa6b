export {
  type DeviceChoice,
  type DeviceName,
  type DeviceRequest,
  type DeviceStatus,
  deviceNames,
} from "./devices.js";
export { type CompileOptions, compile, Executable, type RunResult } from "./executable.js";
export { defaultRuntime, provideRuntime } from "./provider.js";
export { type RunOptions, release, run } from "./run.js";
export * from "./types.js";
