import { type Browser, chromium, type Page } from "playwright-core";
import { requireChromium } from "./chromium.js";

/** A headless Chromium whose WebGPU runs in software. */
export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: await requireChromium(),
    headless: true,
    args: ["--no-sandbox", "--enable-unsafe-webgpu"],
  });
}

/** A page with what went wrong in it. */
export interface WatchedPage {
  readonly page: Page;
  /** Uncaught errors, error messages of the console and requests that failed. */
  readonly problems: readonly string[];
  /** What the page and its workers wrote to the console. */
  readonly messages: readonly string[];
}

/** Opens an address in a context of its own. */
export async function openPage(browser: Browser, url: string): Promise<WatchedPage> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const problems: string[] = [];
  const messages: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    messages.push(message.text());
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("requestfailed", (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.url()}: ${response.status()}`);
  });
  await page.goto(url);
  return { page, problems, messages };
}
