/** The script of the page in which fovea runs on WebAssembly. */
import { initialize } from "../src/graph/model.js";
import { provideRuntime } from "../src/runtime/provider.js";
import { webRuntime } from "../src/runtime/web.js";
import { prepareNetwork, type ReadyNetwork } from "./contestants/network.js";
import { networks } from "./suite/networks.js";
import type { Prepared } from "./suite/protocol.js";
import type { NetworkWork } from "./suite/work.js";

provideRuntime(webRuntime);

let ready: ReadyNetwork | undefined;

/** What is found in the page's global scope. */
export const contestantPage = {
  /** The weights are the initial ones, which depend on nothing but their names. */
  prepare: async (
    work: NetworkWork,
    threads: number,
  ): Promise<{ facts: Prepared; output: { shape: readonly number[]; values: number[] } | undefined }> => {
    await ready?.close();
    const model = networks[work.network].build();
    initialize(model);
    ready = await prepareNetwork(model, work, { device: "wasm", threads });
    const { output, run: _, close: __, ...facts } = ready;
    return {
      facts,
      output: output && { shape: output.shape, values: Array.from(output.data as Float32Array) },
    };
  },
  /** @returns milliseconds of a call, taken in the page */
  run: async (): Promise<number> => {
    const start = performance.now();
    await ready!.run();
    return performance.now() - start;
  },
};

Object.assign(globalThis, { contestantPage });
