/** The module worker that holds the sessions of a page. */
import { serveRequests } from "./protocol.js";
import { SessionHost } from "./session-host.js";
import { interceptLog } from "./web-placement.js";
import { webPlatform } from "./web-platform.js";
import type { WorkerSettings } from "./web-settings.js";

/** What is used of a worker's global scope. */
interface WorkerScope {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(
    type: "message",
    listener: (event: MessageEvent) => void,
    options?: { readonly once: boolean },
  ): void;
}

const scope = globalThis as unknown as WorkerScope;

interceptLog();

// The settings are the first message; requests follow.
scope.addEventListener(
  "message",
  ({ data }) =>
    serveRequests(
      {
        post: (message, transfer) => scope.postMessage(message, [...transfer]),
        listen: (listener) => scope.addEventListener("message", (event) => listener(event.data)),
      },
      new SessionHost(webPlatform(data as WorkerSettings)),
    ),
  { once: true },
);
