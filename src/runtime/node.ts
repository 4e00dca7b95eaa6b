import { RemoteRuntime } from "./client.js";
import { startWorker } from "./node-connection.js";
import type { RequestClient } from "./protocol.js";
import type { Runtime } from "./types.js";

let shared: RequestClient | undefined;

/** The channel to the process's worker, which is started when first needed, and again after it has ended. */
function connect(): RequestClient {
  if (shared === undefined || shared.failed) shared = startWorker().client;
  return shared;
}

const runtime = new RemoteRuntime(connect);

/**
 * ONNX Runtime in Node.js (the package onnxruntime-node). All sessions live in one worker thread of the process, so
 * that the calling thread stays responsive; the process ends by itself when no request is under way.
 */
export function nodeRuntime(): Runtime {
  return runtime;
}
