import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { version } from "../../src/base/version.js";
import { launchBrowser, openPage } from "../../tests/support/browser.js";
import { serveFolder } from "../../tests/support/static-server.js";
import { buildForWeb } from "../../tests/support/web-build.js";
import type { contestantPage } from "../contestant-page.js";
import { writeResult } from "./fovea.js";
import type { Contestant } from "./serve.js";

type PageGlobal = typeof globalThis & { contestantPage: typeof contestantPage };

/** fovea in a page of headless Chromium, on WebAssembly: where the package's users have it. */
export async function foveaOnWasm(): Promise<Contestant> {
  const build = await buildForWeb({ page: fileURLToPath(new URL("../contestant-page.ts", import.meta.url)) });
  const server = await serveFolder(build.folder, { isolated: true });
  const browser = await launchBrowser();
  return {
    versions: { fovea: version, chromium: browser.version() },
    prepare: async ({ work, threads, files }) => {
      if (work.kind !== "network") throw new Error(`no ${work.kind} is measured in a page`);
      const page = await ready((await openPage(browser, `${server.url}page.html`)).page);
      const { facts, output } = await page.evaluate(
        ([what, count]) => (globalThis as PageGlobal).contestantPage.prepare(what, count),
        [work, threads] as const,
      );
      await writeResult(
        files!,
        output && { dtype: "float32", shape: output.shape, data: Float32Array.from(output.values) },
      );
      return {
        ...facts,
        run: async () => ({
          milliseconds: await page.evaluate(() => (globalThis as PageGlobal).contestantPage.run()),
        }),
        close: () => page.close(),
      };
    },
    close: async () => {
      await browser.close();
      await server.close();
      await build.remove();
    },
  };
}

async function ready(page: Page): Promise<Page> {
  await page.waitForFunction(() => "contestantPage" in globalThis);
  return page;
}
