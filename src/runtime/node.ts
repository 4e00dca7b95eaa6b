import { RemoteRuntime } from "./client.js";
import { DirectClient } from "./direct-client.js";
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

let direct: DirectClient | undefined;

const directRuntime = new RemoteRuntime(() => {
  // Loaded when first asked, as in the worker.
  direct ??= new DirectClient(async () => (await import("./node-host.js")).nodeHost());
  return direct;
});

/**
 * ONNX Runtime in Node.js on the thread that calls: nothing is copied between threads, and the thread does nothing else while a session
 * computes. For programs that only compute, and for worker threads of one's own; a server stays responsive with `nodeRuntime`. A
 * tensor that is fed may not change before its run is done.
 */
export function callingThreadRuntime(): Runtime {
  return directRuntime;
}
