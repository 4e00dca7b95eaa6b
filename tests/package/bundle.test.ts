import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { describe, expect, inject, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };

const consumer = inject("consumer");

/** Bundles a module for the browser as a user of the installed package would. */
async function bundle(contents: string, options: { external?: string[] } = {}) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: consumer },
    absWorkingDir: consumer,
    bundle: true,
    format: "esm",
    platform: "browser",
    minify: true,
    metafile: true,
    write: false,
    logLevel: "silent",
    outfile: "bundle.js",
    ...options,
  });
  const [output] = Object.values(metafile.outputs);
  const modules = Object.entries(output!.inputs)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path.replaceAll("\\", "/"));
  return { modules, gzip: gzipSync(outputFiles[0]!.contents).length };
}

const oneMechanism = 'export { SqueezeExcitation } from "fovea/attention";';
const runtime = 'export { compile, run } from "fovea/runtime";';

describe("one mechanism in a bundle for the browser", () => {
  test("brings no other mechanism along", async () => {
    const { modules } = await bundle(oneMechanism);
    const folder = join("node_modules", "fovea", "dist", "attention").replaceAll("\\", "/");
    const mechanisms = modules.filter((path) => path.startsWith(folder) && /\/attention\/[^/]+\//.test(path));
    expect(mechanisms).toEqual([`${folder}/channel/squeeze-excitation.js`]);
    expect(modules.filter((path) => /\/dist\/(runtime|onnx|train|data|report|cli)\//.test(path))).toEqual([]);
  });

  test("costs less than 13.5 KB gzip of fovea's own code, 19 KB with zod", async () => {
    const { gzip: own } = await bundle(oneMechanism, { external: ["zod"] });
    const { gzip: all } = await bundle(oneMechanism);
    expect(own).toBeLessThan(13_500);
    expect(all).toBeLessThan(19_000);
  });

  test("costs less than 18 KB gzip beside the runtime, a second one less than 2 KB", async () => {
    const [base, one, two] = await Promise.all(
      [
        runtime,
        runtime + oneMechanism,
        `${runtime}export { CBAM, SqueezeExcitation } from "fovea/attention";`,
      ].map(async (source) => (await bundle(source)).gzip),
    );
    expect(one! - base!).toBeLessThan(18_000);
    expect(two! - one!).toBeLessThan(2_000);
  });
});

const neutral = Object.keys(manifest.exports).filter((name) => name !== "." && name !== "./package.json");

test.each(neutral)("entry %s can be bundled for the browser", async (name) => {
  const { modules } = await bundle(`export * from "fovea${name.slice(1)}";`);
  expect(modules.length).toBeGreaterThan(0);
});

test("a browser gets the entry for browsers, and nothing of Node.js", async () => {
  const { modules } = await bundle('export * from "fovea";');
  expect(modules).toContain("node_modules/fovea/dist/runtime/web.js");
  expect(modules.filter((path) => /\/dist\/(index|cli\/.*|[a-z]+\/node(-[^/]*)?)\.js$/.test(path))).toEqual(
    [],
  );
});

test("a page has no code of ONNX Runtime, and its worker loads that of the device alone", async () => {
  const { modules } = await bundle('export * from "fovea";');
  expect(modules.filter((path) => path.includes("onnxruntime-web"))).toEqual([]);
  const { metafile } = await build({
    entryPoints: [join(consumer, "node_modules", "fovea", "dist", "runtime", "web-worker.js")],
    absWorkingDir: consumer,
    bundle: true,
    splitting: true,
    format: "esm",
    metafile: true,
    write: false,
    outdir: "out",
  });
  const files = Object.entries(metafile.outputs).map(([path, { inputs, imports }]) => ({
    path,
    scripts: Object.keys(inputs).filter((input) => input.includes("onnxruntime-web")),
    atOnce: imports.filter(({ kind }) => kind === "import-statement").map((entry) => entry.path),
  }));
  // Each in a file of its own, which no other file imports but when it is needed.
  const holders = files.filter(({ scripts }) => scripts.length > 0);
  expect(holders.map(({ scripts }) => scripts.map((path) => path.split("/").at(-1))).sort()).toEqual([
    ["ort.wasm.bundle.min.mjs"],
    ["ort.webgpu.bundle.min.mjs"],
  ]);
  const atOnce = files.flatMap((file) => file.atOnce);
  expect(holders.filter(({ path }) => atOnce.includes(path))).toEqual([]);
});
