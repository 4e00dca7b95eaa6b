/** The script of the pages that bench/web.ts measures. */
import { provideRuntime } from "../src/runtime/provider.js";
import { webRuntime } from "../src/runtime/web.js";
import { prepareStep } from "./web-step.js";

provideRuntime(webRuntime);

let step: (() => Promise<void>) | undefined;

/** What is found in the page's global scope. */
export const benchPage = {
  prepare: async (...args: Parameters<typeof prepareStep>): Promise<void> => {
    step = await prepareStep(...args);
  },
  step: (): Promise<void> => step!(),
};

Object.assign(globalThis, { benchPage });
