/**
 * Memory of a long run: trains a small network for 5,000 steps (or as many as the first argument says) and prints the resident set
 * size every tenth of the way. It has to be flat after the first figure.
 *
 *   node --import ./scripts/typescript.mjs bench/memory.ts
 */
import { MemoryDataset } from "../src/data/dataset.js";
import { Loader } from "../src/data/loader.js";
import { BasicBlock } from "../src/models/residual-block.js";
import { ResNet } from "../src/models/resnet.js";
import { nodeRuntime } from "../src/runtime/node.js";
import { provideRuntime } from "../src/runtime/provider.js";
import { fit } from "../src/train/fit.js";
import { crossEntropy } from "../src/train/losses.js";
import { adamW } from "../src/train/optimizers.js";
import { cosine } from "../src/train/schedules.js";

provideRuntime(nodeRuntime);
const steps = Number(process.argv[2] ?? 5000);
const length = 256;
const dataset = new MemoryDataset({
  name: "stripes",
  classes: ["horizontal", "vertical"],
  imageShape: [1, 12, 12],
  normalization: { mean: [0.5], std: [0.5] },
  images: Uint8Array.from({ length: length * 144 }, (_, i) => {
    const [image, y, x] = [Math.floor(i / 144), Math.floor((i % 144) / 12), i % 12];
    return ((image % 2 === 0 ? y : x) + image) % 4 < 2 ? 200 : 40;
  }),
  labels: Array.from({ length }, (_, image) => image % 2),
});
const model = new ResNet({
  block: BasicBlock,
  stem: "small",
  layers: [1, 1],
  channels: [8, 16],
  inChannels: 1,
  numClasses: dataset.classes.length,
});

const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0).padStart(5)} MiB`;
const started = performance.now();
await fit({
  model,
  data: new Loader(dataset, { batchSize: 16 }),
  loss: crossEntropy,
  optimizer: adamW(),
  schedule: cosine({ rate: 1e-3 }),
  ema: { decay: 0.999 },
  steps,
  callbacks: [
    (event) => {
      if (event.type !== "step" || event.step % Math.ceil(steps / 10) !== 0) return;
      const { rss, heapUsed } = process.memoryUsage();
      const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(6);
      console.log(
        `step ${String(event.step).padStart(6)}  resident ${megabytes(rss)}  heap ${megabytes(heapUsed)}  ${seconds} s  loss ${event.loss.toFixed(5)}`,
      );
    },
  ],
});
