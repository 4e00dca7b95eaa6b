/**
 * What imports add to a page, minified: `npm run build`, then `node --import ./scripts/typescript.mjs bench/web-sizes.ts`. What is
 * loaded only when a session starts is listed by itself.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { table } from "../src/report/table.js";
import { wasmFileNames } from "../src/runtime/web-settings.js";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));

const imports: Readonly<Record<string, string>> = {
  "one mechanism": 'export { SqueezeExcitation } from "fovea/attention";',
  "all mechanisms": 'export * from "fovea/attention";',
  "running, without a mechanism": 'export { compile, run } from "fovea/runtime";',
  "running one mechanism":
    'export { run } from "fovea/runtime"; export { SqueezeExcitation } from "fovea/attention";',
  "training one mechanism":
    'export { adamW, crossEntropy, fit } from "fovea/train"; export { Loader, MemoryDataset } from "fovea/data";' +
    'export { SqueezeExcitation } from "fovea/attention"; export { Conv2d, Linear, Module } from "fovea/nn";',
  everything: 'export * from "fovea";',
};

interface Size {
  readonly raw: number;
  readonly gzip: number;
}

const sizeOf = (bytes: Uint8Array): Size => ({ raw: bytes.length, gzip: gzipSync(bytes).length });

/** Bundles a module; ONNX Runtime is left out, as it is loaded by the worker alone. */
async function bundled(contents: string): Promise<Size> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: dist },
    bundle: true,
    format: "esm",
    platform: "browser",
    minify: true,
    write: false,
    logLevel: "error",
    outfile: "bundle.js",
    external: ["onnxruntime-web/*"],
    plugins: [
      {
        name: "built-package",
        setup: ({ onResolve }) =>
          onResolve({ filter: /^fovea(\/|$)/ }, ({ path }) => ({
            path: join(dist, path === "fovea" ? "web.js" : `${path.slice("fovea/".length)}/index.js`),
          })),
      },
    ],
  });
  return sizeOf(outputFiles[0]!.contents);
}

const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
const file = async (name: string) => sizeOf(await readFile(join(runtime, name)));

const rows: (readonly [string, Size])[] = [];
for (const [name, contents] of Object.entries(imports)) rows.push([name, await bundled(contents)]);
rows.push([
  "the sessions' worker",
  await bundled(`import ${JSON.stringify(join(dist, "runtime/web-worker.js"))};`),
]);
for (const device of ["wasm", "webgpu"] as const) {
  rows.push([`ONNX Runtime for ${device}: script`, await file(`ort.${device}.bundle.min.mjs`)]);
  rows.push([`ONNX Runtime for ${device}: .wasm`, await file(wasmFileNames[device])]);
}
const kilobytes = (bytes: number) => `${Math.round(bytes / 1000).toLocaleString("en")} KB`;
process.stdout.write(
  `${table(
    ["import", "minified", "gzip"].map((header) => ({ header })),
    rows.map(([name, { raw, gzip }]) => [name, kilobytes(raw), kilobytes(gzip)]),
  )}\n`,
);
