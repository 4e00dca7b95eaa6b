/** The worker thread that holds the sessions of a Node.js process. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { ExitGate } from "./node-exit-gate.js";
import { nodeHost } from "./node-host.js";
import { type Port, serveRequests } from "./protocol.js";

function portOf(messages: MessagePort): Port {
  return {
    post: (message, transfer) => messages.postMessage(message, transfer),
    listen: (listener) => messages.on("message", listener),
  };
}

if (parentPort !== null) {
  serveRequests(portOf(parentPort), nodeHost(), new ExitGate(workerData as Int32Array));
}
