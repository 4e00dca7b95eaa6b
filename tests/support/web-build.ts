import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "tsdown";
import { wasmFileNames } from "../../src/runtime/web-settings.js";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A folder of files that a page can load without a bundler. */
export interface WebBuild {
  readonly folder: string;
  remove(): Promise<void>;
}

/**
 * Builds modules for a plain page: each entry, the sessions' worker and ONNX Runtime's WebAssembly side by side, and for each entry a
 * page of its name.
 * @param entries source files by name
 */
export async function buildForWeb(entries: Readonly<Record<string, string>>): Promise<WebBuild> {
  const folder = await mkdtemp(join(tmpdir(), "fovea-web-"));
  await build({
    config: false,
    cwd: root,
    entry: { ...entries, "web-worker": join(root, "src/runtime/web-worker.ts") },
    outDir: folder,
    format: "esm",
    platform: "browser",
    target: "es2023",
    dts: false,
    clean: false,
    minify: false,
    logLevel: "error",
    outExtensions: () => ({ js: ".js" }),
    deps: { alwaysBundle: [/.*/] },
  });
  const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
  for (const file of Object.values(wasmFileNames)) await copyFile(join(runtime, file), join(folder, file));
  for (const name of Object.keys(entries)) {
    const page = `<!doctype html><meta charset="utf-8"><title>${name}</title><link rel="icon" href="data:,"><script type="module" src="./${name}.js"></script>\n`;
    await writeFile(join(folder, `${name}.html`), page);
  }
  return { folder, remove: () => rm(folder, { recursive: true }) };
}
