import { nodeRuntime } from "../../src/runtime/node.js";
import type { Runtime } from "../../src/runtime/types.js";
import { useSoftwareVulkan } from "../support/chromium.js";

await useSoftwareVulkan();

/** The runtime of Node.js on a software GPU. */
export const runtime: Runtime = nodeRuntime();
