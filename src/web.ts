/**
 * fovea for browsers. Sessions run on ONNX Runtime in a web worker, on WebAssembly or WebGPU. The entry for Node.js exports the same,
 * and what needs files.
 */
import { provideRuntime } from "./runtime/provider.js";
import { webRuntime } from "./runtime/web.js";

provideRuntime(webRuntime);

export * from "./public.js";
export { configureWeb, type WebSettings, webRuntime } from "./runtime/web.js";
