import { DeviceError } from "../base/errors.js";
import { RemoteRuntime } from "./client.js";
import type { RequestClient } from "./protocol.js";
import type { Runtime } from "./types.js";
import { startWebWorker } from "./web-connection.js";
import type { WebSettings } from "./web-settings.js";

export type { WebSettings } from "./web-settings.js";

let settings: WebSettings = {};
let shared: RequestClient | undefined;

/** The channel to the page's worker, which is started when first needed, and again after it has failed. */
function connect(): RequestClient {
  if (shared === undefined || shared.failed) shared = startWebWorker(settings);
  return shared;
}

const runtime = new RemoteRuntime(connect);

/**
 * ONNX Runtime in a browser (the package onnxruntime-web). All sessions live in one worker of the page, so that the page stays
 * responsive. The code for WebAssembly or WebGPU is loaded when a session first asks for that device.
 */
export function webRuntime(): Runtime {
  return runtime;
}

/** Sets how sessions run; what is not named stays as it was. @throws DeviceError after the first session */
export function configureWeb(changes: WebSettings): void {
  if (shared !== undefined && !shared.failed) {
    throw new DeviceError("configureWeb has to be called before anything runs");
  }
  settings = { ...settings, ...changes };
}
