import { DeviceError } from "../base/errors.js";
import { RequestClient } from "./protocol.js";
import { type WebSettings, workerSettings } from "./web-settings.js";

/** Starts a module worker that holds sessions. */
export function startWebWorker(settings: WebSettings): RequestClient {
  if (typeof Worker === "undefined") {
    throw new DeviceError("this place has no web workers, in which sessions run");
  }
  // Bundlers find the worker's script by this very expression.
  const worker =
    settings.createWorker?.() ??
    new Worker(new URL("./web-worker.js", import.meta.url), { type: "module", name: "fovea-sessions" });
  const client = new RequestClient({
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    listen: (listener) => worker.addEventListener("message", ({ data }) => listener(data)),
  });
  worker.addEventListener("error", ({ message }) =>
    client.fail(
      message
        ? `the worker of the sessions failed: ${message}`
        : "the script of the sessions' worker could not be loaded: it has to lie where the page's script looks for it " +
            "(web-worker.js beside it), on the same origin, as an ES module",
    ),
  );
  worker.addEventListener("messageerror", () => client.fail("the worker of the sessions sent no message"));
  worker.postMessage(workerSettings(settings, globalThis.location.href));
  return client;
}
