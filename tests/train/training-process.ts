/**
 * Trains into the run folder named by the first argument, or goes on with it. Ctrl-C ends it after the step. After the step named by the
 * second argument it waits for a signal.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Loader } from "../../src/data/loader.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { provideRuntime } from "../../src/runtime/provider.js";
import { fit as trainModel } from "../../src/train/fit.js";
import { crossEntropy } from "../../src/train/losses.js";
import { RunFolder } from "../../src/train/node-run-folder.js";
import { sgd } from "../../src/train/optimizers.js";
import { cosine } from "../../src/train/schedules.js";
import { patterns, SmallClassifier } from "./helpers.js";

provideRuntime(nodeRuntime);
const path = process.argv[2]!;
const pauseAt = Number(process.argv[3]);
const config = { model: "small classifier" };
const resume = existsSync(join(path, "config.json"));
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());

await trainModel({
  model: new SmallClassifier(),
  data: new Loader(patterns(64), { batchSize: 8, seed: 2 }),
  validation: new Loader(patterns(20, "test"), { batchSize: 8 }),
  loss: crossEntropy,
  optimizer: sgd({ momentum: 0.9 }),
  schedule: cosine({ rate: 0.05 }),
  epochs: 4,
  run: resume ? await RunFolder.resume(path, config) : await RunFolder.create(path, config),
  resume,
  checkpointEvery: 3,
  signal: stop.signal,
  callbacks: [
    async (event) => {
      if (event.type === "end") process.stdout.write(`end ${event.reason}\n`);
      if (event.type !== "step") return;
      process.stdout.write(`step ${event.step}\n`);
      while (event.step === pauseAt && !stop.signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  ],
});
