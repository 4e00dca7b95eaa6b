import { DeviceError } from "../base/errors.js";
import type { Runtime } from "./types.js";

let provider: (() => Runtime) | undefined;

/** Sets the runtime that is used where none is named. The package's entry for each platform does. */
export function provideRuntime(create: () => Runtime): void {
  provider = create;
}

/** The platform's runtime. @throws DeviceError where no entry of the package has provided one */
export function defaultRuntime(): Runtime {
  if (!provider)
    throw new DeviceError("no runtime is set: import the package's entry, or call provideRuntime");
  return provider();
}
