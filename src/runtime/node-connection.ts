import { Worker } from "node:worker_threads";
import { FeedMemory } from "./feed-memory.js";
import { ExitGate } from "./node-exit-gate.js";
import { RequestClient } from "./protocol.js";

/** How long the end of the process waits for the request that is under way. */
const exitTimeoutMs = 10_000;

/** A worker thread that holds sessions. */
export interface SessionWorker {
  readonly worker: Worker;
  readonly client: RequestClient;
  /** To be closed before the thread is stopped. */
  readonly gate: ExitGate;
}

/** Starts a worker thread that holds sessions. While it is idle it does not keep the process alive. */
export function startWorker(): SessionWorker {
  const gate = new ExitGate();
  const worker = new Worker(new URL("./node-worker.js", import.meta.url), {
    name: "fovea-sessions",
    workerData: gate.cells,
  });
  worker.unref();
  const onExit = () => gate.close(exitTimeoutMs);
  process.once("exit", onExit);
  const client = new RequestClient(
    {
      post: (message, transfer) => worker.postMessage(message, transfer),
      listen: (listener) => worker.on("message", listener),
    },
    { feedMemory: new FeedMemory(), onBusy: () => worker.ref(), onIdle: () => worker.unref() },
  );
  worker.on("error", (error) => client.fail(`the worker of the sessions failed: ${error.message}`));
  worker.on("messageerror", (error) =>
    client.fail(`the worker of the sessions sent no message: ${error.message}`),
  );
  worker.on("exit", (code) => {
    process.off("exit", onExit);
    client.fail(`the worker of the sessions has ended with exit code ${code}`);
  });
  return { worker, client, gate };
}
