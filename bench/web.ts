/**
 * Training steps in a page beside Node.js, in one interleaved run: `node --import ./scripts/typescript.mjs bench/web.ts [rounds]`.
 * The browser is a headless Chromium whose WebGPU runs in software, so its figure says nothing of a GPU.
 */
import { fileURLToPath } from "node:url";
import { table } from "../src/report/table.js";
import { type Contestant, interleaved } from "../src/report/timing.js";
import { nodeRuntime } from "../src/runtime/node.js";
import { provideRuntime } from "../src/runtime/provider.js";
import type { SessionOptions } from "../src/runtime/types.js";
import { launchBrowser, openPage } from "../tests/support/browser.js";
import { serveFolder } from "../tests/support/static-server.js";
import { buildForWeb } from "../tests/support/web-build.js";
import type { benchPage } from "./web-page.js";
import { prepareStep } from "./web-step.js";

const rounds = Number(process.argv[2] ?? 5);
const sizes = { batch: 8, size: 32 };

provideRuntime(nodeRuntime);
const build = await buildForWeb({ page: fileURLToPath(new URL("web-page.ts", import.meta.url)) });
const server = await serveFolder(build.folder, { isolated: true });
const browser = await launchBrowser();

async function inNode(threads: number): Promise<Contestant> {
  return {
    name: `Node.js, cpu, ${threads} threads`,
    run: await prepareStep({ device: "cpu", threads }, sizes),
  };
}

async function inPage(name: string, session: SessionOptions): Promise<Contestant> {
  const { page } = await openPage(browser, `${server.url}page.html`);
  const found = () => page.evaluate(() => "benchPage" in globalThis);
  if (!(await found())) await page.waitForFunction(() => "benchPage" in globalThis);
  type Global = typeof globalThis & { benchPage: typeof benchPage };
  await page.evaluate(([options, shape]) => (globalThis as Global).benchPage.prepare(options, shape), [
    session,
    sizes,
  ] as const);
  return { name, run: () => page.evaluate(() => (globalThis as Global).benchPage.step()) };
}

try {
  const contestants = [
    await inNode(1),
    await inNode(2),
    await inPage("Chromium, wasm, 1 thread", { device: "wasm", threads: 1 }),
    await inPage("Chromium, wasm, 2 threads", { device: "wasm", threads: 2 }),
    await inPage("Chromium, webgpu in software", { device: "webgpu" }),
  ];
  const times = await interleaved(contestants, { rounds, warmUps: 1, rest: 100 });
  const reference = times.get(contestants[0]!.name)!.median;
  process.stdout.write(
    `SE-ResNet-20, batch ${sizes.batch}, ${sizes.size} x ${sizes.size}: one training step, ${rounds} rounds\n` +
      `${table(
        ["where", "ms", "least", "most", "of Node.js, 1 thread"].map((header) => ({ header })),
        contestants.map(({ name }) => {
          const { median, least, most } = times.get(name)!;
          return [
            name,
            ...[median, least, most].map((value) => value.toFixed(1)),
            `${(median / reference).toFixed(1)} x`,
          ];
        }),
      )}\n`,
  );
} finally {
  await browser.close();
  await server.close();
  await build.remove();
}
process.exit();
