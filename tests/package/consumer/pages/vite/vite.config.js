// Threads of WebAssembly need pages that are cross-origin isolated.
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default {
  server: { headers },
  preview: { headers },
  // The worker of the sessions is a module; as a classic script it hangs with two threads.
  worker: { format: "es" },
  // The development server is to leave the worker's script and the .wasm files where the packages have them, and to turn what is CommonJS
  // into modules.
  optimizeDeps: { exclude: ["fovea", "onnxruntime-web"], include: ["fovea > picocolors"] },
};
