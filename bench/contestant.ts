/**
 * A contestant of the benchmark: a process that bench/run.ts starts and asks over standard input. The argument names it, further ones
 * are its own.
 */
import { callingThreadRuntime, nodeRuntime } from "../src/runtime/node.js";
import { provideRuntime } from "../src/runtime/provider.js";
import { fovea, foveaCheckpointed } from "./contestants/fovea.js";
import { foveaOnWasm } from "./contestants/fovea-wasm.js";
import { jaxJs } from "./contestants/jax-js.js";
import { pytorchExport } from "./contestants/pytorch-export.js";
import { type Contestant, serve } from "./contestants/serve.js";
import { tensorFlowJs } from "./contestants/tensorflow-js.js";

const contestants: Readonly<Record<string, (...args: string[]) => Promise<Contestant>>> = {
  fovea,
  checkpointed: foveaCheckpointed,
  "calling-thread": () => {
    provideRuntime(callingThreadRuntime);
    return fovea();
  },
  wasm: foveaOnWasm,
  export: pytorchExport,
  tfjs: tensorFlowJs,
  "jax-js": jaxJs,
};

const [name = "", ...args] = process.argv.slice(2);
const create = contestants[name];
if (!create)
  throw new Error(`contestant "${name}" is unknown; known are ${Object.keys(contestants).join(", ")}`);
provideRuntime(nodeRuntime);
await serve(await create(...args));
process.exit();
