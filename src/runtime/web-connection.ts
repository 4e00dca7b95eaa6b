import { DeviceError } from "../base/errors.js";
import { RequestClient } from "./protocol.js";
import { type WebSettings, workerSettings } from "./web-settings.js";

/** In a variable, so that bundlers leave it alone. */
const workerFile = "./web-worker.js";

/** Starts the worker's script, from wherever this script came. */
function startWorker(): Worker {
  try {
    // Bundlers find the worker's script by this very expression.
    return new Worker(new URL("./web-worker.js", import.meta.url), {
      type: "module",
      name: "fovea-sessions",
    });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "SecurityError")) throw error;
    // No worker starts from a script of another origin, but a script of the page's own may import one.
    const script = `import ${JSON.stringify(new URL(workerFile, import.meta.url).href)};`;
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    return new Worker(address, { type: "module", name: "fovea-sessions" });
  }
}

/** Starts a module worker that holds sessions. */
export function startWebWorker(settings: WebSettings): RequestClient {
  if (typeof Worker === "undefined") {
    throw new DeviceError("this place has no web workers, in which sessions run");
  }
  const worker = settings.createWorker?.() ?? startWorker();
  const client = new RequestClient({
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    listen: (listener) => worker.addEventListener("message", ({ data }) => listener(data)),
  });
  worker.addEventListener("error", ({ message }) =>
    client.fail(
      message
        ? `the worker of the sessions failed: ${message}`
        : "the script of the sessions' worker could not be loaded: it has to lie where the page's script looks for it " +
            "(web-worker.js beside it), as an ES module, or be started by configureWeb({ createWorker })",
    ),
  );
  worker.addEventListener("messageerror", () => client.fail("the worker of the sessions sent no message"));
  worker.postMessage(workerSettings(settings, globalThis.location.href));
  return client;
}
