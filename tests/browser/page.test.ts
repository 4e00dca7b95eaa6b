import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { build, type PreviewServer, preview } from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser, openPage } from "../support/browser.js";

const configFile = fileURLToPath(new URL("../../examples/browser/vite.config.ts", import.meta.url));

let folder: string;
let server: PreviewServer;
let browser: Browser;
let page: Page;
let problems: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-page-"));
  const options = { configFile, logLevel: "error" } as const;
  const outDir = join(folder, "dist");
  await build({ ...options, build: { outDir } });
  server = await preview({ ...options, build: { outDir }, preview: { port: 0 } });
  browser = await launchBrowser();
  ({ page, problems } = await openPage(browser, server.resolvedUrls!.local[0]!));
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const status = async () => (await page.locator("#status").textContent()) ?? "";
const answer = async () => (await page.locator("#answer").textContent()) ?? "";
const button = (id: string) => page.locator(`#${id}`);

/** Steps taken and the last loss, from the status line. */
async function progress(): Promise<{ step: number; loss: number }> {
  const [, step, loss] = /^Step (\d+) of \d+: loss ([\d.]+)$/.exec(await status()) ?? [];
  return { step: Number(step ?? 0), loss: Number(loss) };
}

/** Trains until a step. @returns the losses seen on the way */
async function trainUntil(device: string, steps: number): Promise<number[]> {
  const losses: number[] = [];
  await page.locator(`input[value=${device}]`).check();
  await button("start").click();
  await expect
    .poll(
      async () => {
        const { step, loss } = await progress();
        if (step > 0 && losses.at(-1) !== loss) losses.push(loss);
        return step;
      },
      { timeout: 300_000, interval: 20 },
    )
    .toBeGreaterThanOrEqual(steps);
  return losses;
}

/** How many different colours a canvas shows. */
const colors = (selector: string) =>
  page.locator(selector).evaluate((element) => {
    const { width, height } = element as HTMLCanvasElement;
    const { data } = (element as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height);
    return new Set(new Uint32Array(data.buffer)).size;
  });

it("shows the digits and asks to train first", async () => {
  await expect.poll(() => colors("#digits"), { timeout: 60_000 }).toBeGreaterThan(50);
  expect(await answer()).toBe("Train first, then draw.");
  await button("example").click();
  expect(await answer()).toBe("Train first, then draw.");
  expect(await colors("#heat")).toBe(1);
});

it("trains on WebAssembly: the loss falls, and most test digits are right", {
  timeout: 600_000,
}, async () => {
  const losses = await trainUntil("wasm", 120);
  await button("stop").click();
  await expect.poll(status, { timeout: 60_000 }).toMatch(/steps on wasm: .* of 500/);
  expect(losses[0]).toBeGreaterThan(1.5);
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
  const points = await page.locator("#curve polyline").getAttribute("points");
  expect(points!.split(" ").length).toBeGreaterThanOrEqual(120);
  expect(Number(/: ([\d.]+) %/.exec(await status())![1])).toBeGreaterThan(60);
});

it("shows the maps of a test digit, and of one that is drawn", { timeout: 120_000 }, async () => {
  await expect.poll(answer).toMatch(/^This is a \d \(/);
  expect(await page.locator("#gates canvas").count()).toBe(3);
  expect(await colors("#heat")).toBeGreaterThan(50);
  await button("clear").click();
  expect(await answer()).toBe("Draw a digit, or take one.");
  expect(await page.locator("#gates canvas").count()).toBe(0);
  const field = (await page.locator("#pad").boundingBox())!;
  const at = (x: number, y: number) => [field.x + x * field.width, field.y + y * field.height] as const;
  await page.mouse.move(...at(0.5, 0.15));
  await page.mouse.down();
  await page.mouse.move(...at(0.5, 0.85), { steps: 12 });
  await page.mouse.up();
  await expect.poll(answer, { timeout: 60_000 }).toMatch(/^This is a 1 \(/);
  expect(await colors("#heat")).toBeGreaterThan(50);
  expect(await colors("#gates canvas >> nth=2")).toBeGreaterThan(10);
});

it("speaks Chinese", async () => {
  await button("language").click();
  expect(await answer()).toMatch(/^这是 1/);
  expect(await page.locator("html").getAttribute("lang")).toBe("zh-CN");
  await button("language").click();
  expect(await answer()).toMatch(/^This is a 1/);
});

it("fits a narrow screen", async () => {
  const size = page.viewportSize()!;
  await page.setViewportSize({ width: 360, height: 800 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await page.setViewportSize(size);
});

it("trains on WebGPU", { timeout: 600_000 }, async () => {
  const losses = await trainUntil("webgpu", 2);
  expect(losses[0]).toBeGreaterThan(1.5);
  expect(problems).toEqual([]);
});
