import { fileURLToPath } from "node:url";
import type { Plugin, UserConfig } from "vite";
import { mnistFiles } from "./mnist-files.js";

// Threads of WebAssembly need pages that are cross-origin isolated.
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

const checkout = fileURLToPath(new URL("../../", import.meta.url));

/** The manifest, and the name of the worker's script, are those of the built package. */
const packageSources: Plugin = {
  name: "package-sources",
  enforce: "pre",
  transform(code, id) {
    if (id.endsWith("/src/web.ts")) return { code, moduleSideEffects: true };
    if (!id.endsWith("/web-connection.ts")) return null;
    return code.replace('URL("./web-worker.js"', 'URL("./web-worker.ts"');
  },
};

export default {
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  server: { headers, fs: { allow: [checkout] } },
  preview: { headers },
  worker: { format: "es" },
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  // The sources of the checkout stand for the package.
  resolve: { alias: { fovea: `${checkout}src/web.ts` } },
  build: { target: "es2023", chunkSizeWarningLimit: 1000 },
  plugins: [mnistFiles(), packageSources],
} satisfies UserConfig;
