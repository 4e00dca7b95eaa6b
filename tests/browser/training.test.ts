import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SessionOptions } from "../../src/runtime/types.js";
import { wasmFileNames } from "../../src/runtime/web-settings.js";
import { launchBrowser, openPage } from "../support/browser.js";
import { largestDifference } from "../support/difference.js";
import { type StaticServer, serveFolder } from "../support/static-server.js";
import { buildForWeb, type WebBuild } from "../support/web-build.js";
import { type TrainingRecord, trainSqueezeExcitation } from "./scenarios.js";
import type { TrainingPage } from "./training-page.js";

const steps = 30;

let build: WebBuild;
let isolated: StaticServer;
let plain: StaticServer;
let browser: Browser;
let node: TrainingRecord;

beforeAll(async () => {
  build = await buildForWeb({ training: fileURLToPath(new URL("training-page.ts", import.meta.url)) });
  isolated = await serveFolder(build.folder, { isolated: true });
  plain = await serveFolder(build.folder, { isolated: false });
  browser = await launchBrowser();
  node = await trainSqueezeExcitation({ device: "cpu" }, steps);
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await isolated?.close();
  await plain?.close();
  await build?.remove();
});

/** Trains in a page of its own, and compares with Node.js. */
async function trainInPage(server: StaticServer, session: SessionOptions): Promise<TrainingRecord> {
  const { page, problems } = await openPage(browser, `${server.url}training.html`);
  const record = await page.evaluate(
    ([options, count]) =>
      (globalThis as unknown as TrainingPage).scenarios.trainSqueezeExcitation(options, count),
    [session, steps] as const,
  );
  expect(problems).toEqual([]);
  await page.context().close();
  expect(largestDifference(record.losses, node.losses)).toBeLessThan(1e-4);
  expect(largestDifference(record.maps, node.maps)).toBeLessThan(1e-4);
  return record;
}

describe("a page that trains a squeeze-and-excitation block gets the losses and maps of Node.js", () => {
  it.each([1, 2])("on WebAssembly with %d threads", async (threads) => {
    const record = await trainInPage(isolated, { device: "wasm", threads });
    expect(record).toMatchObject({ threads, placedOn: { device: "wasm" } });
    expect(Object.keys(record.placement.nodes)).toEqual(["cpu"]);
  });

  it("on WebGPU, all of it", async () => {
    const record = await trainInPage(isolated, { device: "webgpu" });
    expect(record.placedOn.device).toBe("webgpu");
    expect(Object.keys(record.placement.nodes)).toEqual(["webgpu"]);
    expect(record.placement.fallbacks).toEqual({});
  });

  it("on one thread with the reason, where the page is not cross-origin isolated", async () => {
    const record = await trainInPage(plain, { device: "cpu", threads: 2 });
    expect(record).toMatchObject({ threads: 1, placedOn: { device: "wasm" } });
    expect(record.placedOn.reason).toMatch(/Cross-Origin-Opener-Policy/);
  });

  it("on WebAssembly where the GPU is imitated and the device left open", async () => {
    const record = await trainInPage(isolated, { device: "auto" });
    expect(record.placedOn.device).toBe("wasm");
    expect(record.placedOn.reason).toMatch(/webgpu is a software adapter/);
  });
});

describe("the runtime of a page", () => {
  it("tells its devices, and refuses what a browser does not have", async () => {
    const { page } = await openPage(browser, `${isolated.url}training.html`);
    const found = await page.evaluate(async () => {
      const { webRuntime, configureWeb } = (globalThis as unknown as TrainingPage).fovea;
      const message = (promise: Promise<unknown>) =>
        promise.then(
          () => "",
          (error: unknown) => String(error),
        );
      const info = await webRuntime().info();
      return {
        info,
        cuda: await message(webRuntime().resolveDevice("cuda")),
        late: await message((async () => configureWeb({ threads: 1 }))()),
      };
    });
    expect(found.info.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(found.info.devices).toMatchObject([
      { device: "wasm", available: true },
      { device: "webgpu", available: true, software: true },
    ]);
    expect(found.cuda).toMatch(/browsers have no CUDA/);
    expect(found.late).toMatch(/before anything runs/);
    await page.context().close();
  });

  it("finds the .wasm files where it is told to", async () => {
    await mkdir(join(build.folder, "elsewhere"));
    await copyFile(
      join(build.folder, wasmFileNames.wasm),
      join(build.folder, "elsewhere", wasmFileNames.wasm),
    );
    const { page } = await openPage(browser, `${isolated.url}training.html`);
    const requested: string[] = [];
    page.on("request", (request) => requested.push(request.url()));
    const firstDevice = (wasmPaths: string) =>
      page.evaluate(async (folder) => {
        const { webRuntime, configureWeb } = (globalThis as unknown as TrainingPage).fovea;
        configureWeb({ wasmPaths: folder });
        return (await webRuntime().info()).devices[0]!;
      }, wasmPaths);
    expect(await firstDevice("./elsewhere")).toEqual({ device: "wasm", available: true });
    expect(requested).toContain(`${isolated.url}elsewhere/${wasmFileNames.wasm}`);
    expect(requested).not.toContain(isolated.url + wasmFileNames.wasm);
    await page.reload();
    const missing = await firstDevice("./nowhere/");
    expect(missing.available ? "" : missing.reason).toMatch(/configureWeb/);
    await page.context().close();
  });
});

describe("the build", () => {
  it("has no code for Node.js, and loads each ONNX Runtime on its own", async () => {
    const files = (await readdir(build.folder)).filter((name) => name.endsWith(".js"));
    const texts = await Promise.all(files.map((name) => readFile(join(build.folder, name), "utf8")));
    const own = files
      .map((name, index) => [name, texts[index]!] as const)
      .filter(([name]) => !name.startsWith("ort."));
    for (const [, text] of own)
      expect(text).not.toMatch(/from\s*"(node:|onnxruntime-node)|import\("(node:|onnxruntime-node)/);
    const imported = own.flatMap(([, text]) => [
      ...text.matchAll(/(from\s*|import\s*\(?\s*)"\.\/(ort\.[^"]+)"/g),
    ]);
    expect(imported.map(([, how, file]) => [how!.startsWith("import("), file!.split(".")[1]]).sort()).toEqual(
      [
        [true, "wasm"],
        [true, "webgpu"],
      ],
    );
  });
});
