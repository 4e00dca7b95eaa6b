import { nodePlatform } from "./node-platform.js";
import { SessionHost } from "./session-host.js";

/** Holds sessions on the thread that calls it. */
export function nodeHost(): SessionHost {
  return new SessionHost(nodePlatform(() => import("onnxruntime-node")));
}
