import { Worker } from "node:worker_threads";
import { RequestClient } from "./protocol.js";

/** Starts a worker thread that holds sessions. While it is idle it does not keep the process alive. */
export function startWorker(): { readonly worker: Worker; readonly client: RequestClient } {
  const worker = new Worker(new URL("./node-worker.js", import.meta.url), { name: "fovea-sessions" });
  worker.unref();
  const client = new RequestClient(
    {
      post: (message, transfer) => worker.postMessage(message, transfer),
      listen: (listener) => worker.on("message", listener),
    },
    () => worker.ref(),
    () => worker.unref(),
  );
  worker.on("error", (error) => client.fail(`the worker of the sessions failed: ${error.message}`));
  worker.on("messageerror", (error) =>
    client.fail(`the worker of the sessions sent no message: ${error.message}`),
  );
  worker.on("exit", (code) => client.fail(`the worker of the sessions has ended with exit code ${code}`));
  return { worker, client };
}
