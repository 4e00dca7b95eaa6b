import { copyFile, cp, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { build as bundle } from "esbuild";
import type { Browser } from "playwright-core";
import { build, createServer, preview } from "vite";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { wasmFileNames } from "../../src/runtime/web-settings.js";
import { runProgram } from "../child.js";
import { launchBrowser, openPage } from "../support/browser.js";
import { largestDifference } from "../support/difference.js";
import { type StaticServer, serveFolder } from "../support/static-server.js";

/** What the pages' program returns. */
interface Training {
  readonly losses: readonly number[];
  readonly gates: readonly number[];
  readonly threads: number;
  readonly device: string;
}

interface Page {
  trainBlock(session: { readonly device: string; readonly threads?: number }): Promise<Training>;
}

const consumer = inject("consumer");
const pages = join(consumer, "pages");

let browser: Browser;
let node: Training;

beforeAll(async () => {
  browser = await launchBrowser();
  const { stdout, stderr } = await runProgram(process.execPath, ["pages/in-node.js"], consumer);
  expect(stderr).toBe("");
  node = JSON.parse(stdout);
  expect(node.losses.at(-1)).toBeLessThan(node.losses[0]! - 0.01);
});

afterAll(() => browser?.close());

/** Opens a page, trains in it, and compares with Node.js. @returns what the page wrote to the console */
async function trainInPage(
  url: string,
  session: { readonly device: string; readonly threads?: number },
  threads = session.threads,
): Promise<readonly string[]> {
  const { page, problems, messages } = await openPage(browser, url);
  await page.waitForFunction(() => "trainBlock" in globalThis);
  const result = await page.evaluate(
    (options) => (globalThis as unknown as Page).trainBlock(options),
    session,
  );
  await page.context().close();
  expect(problems).toEqual([]);
  expect(result).toMatchObject({ device: session.device, ...(threads === undefined ? {} : { threads }) });
  expect(largestDifference(result.losses, node.losses)).toBeLessThan(1e-5);
  expect(largestDifference(result.gates, node.gates)).toBeLessThan(1e-5);
  return messages;
}

const sessions = [
  { title: "wasm with one thread", session: { device: "wasm", threads: 1 } },
  { title: "wasm with two threads", session: { device: "wasm", threads: 2 } },
  { title: "webgpu", session: { device: "webgpu" } },
];

describe("a Vite app", () => {
  const root = join(pages, "vite");

  describe("that is built", () => {
    let server: Awaited<ReturnType<typeof preview>>;
    beforeAll(async () => {
      await build({ root, logLevel: "error" });
      server = await preview({ root, logLevel: "error", preview: { port: 0 } });
    });
    afterAll(() => server?.close());

    it.each(sessions)("trains on $title", async ({ session }) => {
      await trainInPage(server.resolvedUrls!.local[0]!, session);
    });
  });

  describe("under development", () => {
    let server: Awaited<ReturnType<typeof createServer>>;
    beforeAll(async () => {
      server = await createServer({ root, logLevel: "error", server: { port: 0 } });
      await server.listen();
    });
    afterAll(() => server?.close());

    it.each(sessions)("trains on $title", async ({ session }) => {
      await trainInPage(server.resolvedUrls!.local[0]!, session);
    });
  });
});

describe("a page without a bundler", () => {
  const root = join(pages, "plain");
  let [isolated, plain, elsewhere] = [] as unknown as StaticServer[];

  beforeAll(async () => {
    // As docs/browser.md says.
    const dist = join(consumer, "node_modules", "fovea", "dist");
    const folder = join(root, "fovea");
    await bundle({
      entryPoints: [join(dist, "web.js"), join(dist, "runtime", "web-worker.js")],
      entryNames: "[name]",
      outdir: folder,
      absWorkingDir: consumer,
      bundle: true,
      splitting: true,
      format: "esm",
      minify: true,
      logLevel: "error",
    });
    const runtime = createRequire(join(dist, "web.js")).resolve("onnxruntime-web/wasm");
    const copy = (file: string, to: string) => copyFile(join(runtime, "..", file), join(to, file));
    for (const file of Object.values(wasmFileNames)) await copy(file, folder);
    await copyFile(join(pages, "train-block.js"), join(root, "train-block.js"));
    isolated = await serveFolder(root, { isolated: true });
    plain = await serveFolder(root, { isolated: false });
    // Another origin, with nothing of the page's own.
    const shared = join(consumer, "shared");
    await mkdir(shared);
    await cp(folder, join(shared, "fovea"), { recursive: true });
    for (const file of Object.values(wasmFileNames)) {
      await copy(file.replace(".wasm", ".mjs"), join(shared, "fovea"));
    }
    elsewhere = await serveFolder(shared, { isolated: false, shared: true });
  });
  afterAll(() => Promise.all([isolated, plain, elsewhere].map((server) => server?.close())));

  it.each(sessions)("trains on $title", async ({ session }) => {
    const messages = await trainInPage(isolated!.url, session);
    expect(messages).toEqual([]);
  });

  it("says once which headers it lacks for threads", async () => {
    const messages = await trainInPage(plain!.url, { device: "wasm", threads: 2 }, 1);
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(/one thread.*Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/);
    expect(await trainInPage(plain!.url, { device: "wasm", threads: 1 })).toEqual([]);
  });

  it.each(sessions)("trains inside a worker of its own on $title", async ({ session }) => {
    await trainInPage(`${isolated!.url}worker.html`, session);
  });

  it.each(sessions)("takes fovea from another origin on $title", async ({ session }) => {
    await trainInPage(`${isolated!.url}elsewhere.html?${elsewhere!.url}fovea/`, session);
  });
});
