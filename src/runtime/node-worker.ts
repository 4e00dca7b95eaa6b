/** The worker thread that holds the sessions of a Node.js process. */
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { type MessagePort, parentPort } from "node:worker_threads";
import { DeviceError } from "../base/errors.js";
import { describeNodeRuntime, loadNodeRuntime, type NodeOrtModule } from "./node-ort.js";
import { type Port, serveRequests } from "./protocol.js";
import { SessionHost } from "./session-host.js";

let ort: NodeOrtModule | undefined;

const host = new SessionHost({
  load: async () => {
    ort = await loadNodeRuntime(() => import("onnxruntime-node"));
    return ort;
  },
  describe: () => {
    if (ort === undefined) throw new DeviceError("ONNX Runtime is not loaded");
    return describeNodeRuntime(ort);
  },
  threads: availableParallelism(),
  profileFile: async (prefix) => {
    const folder = dirname(resolve(prefix));
    // ONNX Runtime appends the time to the prefix.
    const file = (await readdir(folder))
      .filter((name) => name.startsWith(`${basename(prefix)}_`))
      .sort()
      .at(-1);
    if (file === undefined) throw new DeviceError(`ONNX Runtime wrote no profile at ${prefix}`);
    return join(folder, file);
  },
});

function portOf(messages: MessagePort): Port {
  return {
    post: (message, transfer) => messages.postMessage(message, transfer),
    listen: (listener) => messages.on("message", listener),
  };
}

if (parentPort !== null) serveRequests(portOf(parentPort), host);
