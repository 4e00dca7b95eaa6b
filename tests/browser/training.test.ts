import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Loader } from "../../src/data/loader.js";
import { loadMnist } from "../../src/data/node-mnist.js";
import { writeSafetensors } from "../../src/formats/safetensors.js";
import { create } from "../../src/models/registry.js";
import { stateDict } from "../../src/nn/state-dict.js";
import type { SessionOptions } from "../../src/runtime/types.js";
import { wasmFileNames } from "../../src/runtime/web-settings.js";
import { fit as trainModel } from "../../src/train/fit.js";
import { crossEntropy } from "../../src/train/losses.js";
import { adamW } from "../../src/train/optimizers.js";
import { launchBrowser, openPage } from "../support/browser.js";
import { largestDifference } from "../support/difference.js";
import { type StaticServer, serveFolder } from "../support/static-server.js";
import { buildForWeb, type WebBuild } from "../support/web-build.js";
import {
  type Predictions,
  predictDigits,
  type TrainingRecord,
  trainSeResNet20,
  trainSqueezeExcitation,
} from "./scenarios.js";
import type { TrainingPage } from "./training-page.js";

const steps = 30;

let build: WebBuild;
let isolated: StaticServer;
let plain: StaticServer;
let browser: Browser;

beforeAll(async () => {
  build = await buildForWeb({ training: fileURLToPath(new URL("training-page.ts", import.meta.url)) });
  isolated = await serveFolder(build.folder, { isolated: true });
  plain = await serveFolder(build.folder, { isolated: false });
  browser = await launchBrowser();
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await isolated?.close();
  await plain?.close();
  await build?.remove();
});

/** Carries out something in a page of its own. */
async function inPage<A, T>(
  server: StaticServer,
  body: (argument: A) => Promise<T>,
  argument: A,
): Promise<T> {
  const { page, problems } = await openPage(browser, `${server.url}training.html`);
  const result = await page.evaluate<T, A>(body as never, argument);
  expect(problems).toEqual([]);
  await page.context().close();
  return result;
}

const placeOf = (record: TrainingRecord) => ({ threads: record.threads, device: record.placedOn.device });

function expectEqual(record: TrainingRecord, node: TrainingRecord): void {
  expect(largestDifference(record.losses, node.losses)).toBeLessThan(1e-4);
  expect(largestDifference(record.maps, node.maps)).toBeLessThan(1e-4);
}

describe("a page that trains a squeeze-and-excitation block gets the losses and maps of Node.js", () => {
  let node: TrainingRecord;
  beforeAll(async () => {
    node = await trainSqueezeExcitation({ device: "cpu" }, steps);
  });

  const train = (server: StaticServer, session: SessionOptions) =>
    inPage(
      server,
      ([options, count]) =>
        (globalThis as unknown as TrainingPage).scenarios.trainSqueezeExcitation(options, count),
      [session, steps] as const,
    );

  it.each([1, 2])("on WebAssembly with %d threads", async (count) => {
    const record = await train(isolated, { device: "wasm", threads: count });
    expectEqual(record, node);
    expect(placeOf(record)).toEqual({ threads: count, device: "wasm" });
    expect(Object.keys(record.placement.nodes)).toEqual(["cpu"]);
  });

  it("on WebGPU, all of it", async () => {
    const record = await train(isolated, { device: "webgpu" });
    expectEqual(record, node);
    expect(record.placedOn.device).toBe("webgpu");
    expect(Object.keys(record.placement.nodes)).toEqual(["webgpu"]);
    expect(record.placement.fallbacks).toEqual({});
  });

  it("on one thread with the reason, where the page is not cross-origin isolated", async () => {
    const record = await train(plain, { device: "cpu", threads: 2 });
    expectEqual(record, node);
    expect(placeOf(record)).toEqual({ threads: 1, device: "wasm" });
    expect(record.placedOn.reason).toMatch(/Cross-Origin-Opener-Policy/);
  });

  it("on WebAssembly where the GPU is imitated and the device left open", async () => {
    const record = await train(isolated, { device: "auto" });
    expectEqual(record, node);
    expect(record.placedOn.device).toBe("wasm");
    expect(record.placedOn.reason).toMatch(/webgpu is a software adapter/);
  });
});

describe("a page that trains SE-ResNet-20 gets the losses and maps of Node.js", () => {
  it.each([
    { device: "wasm", threads: 1, size: 32 },
    { device: "wasm", threads: 2, size: 32 },
    { device: "webgpu", threads: 1, size: 12 },
  ])(
    "on $device with $threads threads, images of $size pixels",
    async ({ size, ...session }) => {
      const node = await trainSeResNet20({ device: "cpu" }, steps, size);
      expect(node.losses.at(-1)).toBeLessThan(node.losses[0]! - 0.4);
      const record = await inPage(
        isolated,
        ([options, count, imageSize]) =>
          (globalThis as unknown as TrainingPage).scenarios.trainSeResNet20(options, count, imageSize),
        [session, steps, size] as const,
      );
      expectEqual(record, node);
      expect(placeOf(record)).toEqual(session);
    },
    600_000,
  );
});

describe("the network of MNIST, trained in Node.js", () => {
  const count = 50;
  let labels: readonly number[];
  let node: Predictions;

  beforeAll(async () => {
    const { train, test } = await loadMnist();
    const model = create("seresnet8", { inChannels: 1 });
    await trainModel({
      model,
      loss: crossEntropy,
      data: new Loader(train, { batchSize: 64 }),
      optimizer: adamW(),
      schedule: 0.003,
      steps: 200,
    });
    const { x, y } = await new Loader(test, { batchSize: count, shuffle: false }).batch(0);
    labels = Array.from(y, Number);
    const images = { dtype: "float32", shape: [count, 1, 28, 28], data: x } as const;
    const file = writeSafetensors(new Map([...stateDict(model), ["images", images]]));
    await writeFile(join(build.folder, "digits.safetensors"), file);
    node = await predictDigits({ device: "cpu" }, file);
  }, 300_000);

  const digits = (logits: readonly number[]) =>
    labels.map((_, row) => {
      const scores = logits.slice(10 * row, 10 * row + 10);
      return scores.indexOf(Math.max(...scores));
    });

  it("knows the test digits", () => {
    const right = digits(node.logits).filter((digit, row) => digit === labels[row]);
    expect(right.length).toBeGreaterThan(0.9 * count);
  });

  it.each(["wasm", "webgpu"])(
    "says in a page on %s what it says in Node.js, and shows its gates",
    async (device) => {
      const page = await inPage(
        isolated,
        async (name) => {
          const file = await (await fetch("./digits.safetensors")).arrayBuffer();
          const { scenarios } = globalThis as unknown as TrainingPage;
          return scenarios.predictDigits({ device: name }, new Uint8Array(file));
        },
        device,
      );
      expect(digits(page.logits)).toEqual(digits(node.logits));
      expect(largestDifference(page.logits, node.logits)).toBeLessThan(1e-4);
      expect(largestDifference(page.gates, node.gates)).toBeLessThan(1e-5);
      expect(page.gates.length).toBe(count * (16 + 32 + 64));
    },
    300_000,
  );
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
