/**
 * Memory of a process that trains on WebGPU: `node --import ./scripts/typescript.mjs bench/webgpu-memory.ts [steps]`. The growth per
 * step is to be far below the size of the state, which would be left behind were old tensors not freed.
 */

import { SqueezeExcitation } from "../src/attention/channel/squeeze-excitation.js";
import { elementCount } from "../src/base/dtype.js";
import { nodeRuntime } from "../src/runtime/node.js";
import { meanSquaredError } from "../src/train/losses.js";
import { supervised } from "../src/train/objective.js";
import { adamW } from "../src/train/optimizers.js";
import { Trainer } from "../src/train/trainer.js";

const steps = Number(process.argv[2] ?? 600);
const channels = 256;
const shape = [2, channels, 2, 2];
const model = new SqueezeExcitation({ channels, reduction: 1 });
const trainer = await Trainer.create({
  model,
  objective: supervised({ model, loss: meanSquaredError }),
  inputs: { x: { shape }, y: { shape } },
  optimizer: adamW(),
  schedule: 0.001,
  runtime: nodeRuntime(),
  session: { device: "webgpu" },
});
const stateBytes = [...trainer.definition.states.values()].reduce(
  (total, state) => total + 4 * elementCount(state.shape),
  0,
);
const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i));
const tensor = { dtype: "float32", shape, data: values } as const;
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
console.log(`state ${mebibytes(stateBytes)} MiB`);

let settled = 0;
const warmUp = Math.min(100, Math.floor(steps / 4));
for (let step = 1; step <= steps; step++) {
  await trainer.step({ x: tensor, y: tensor });
  if (step === warmUp) settled = process.memoryUsage.rss();
  if (step % Math.max(1, Math.floor(steps / 6)) === 0) {
    console.log(`step ${step}: ${mebibytes(process.memoryUsage.rss())} MiB`);
  }
}
const growth = (process.memoryUsage.rss() - settled) / (steps - warmUp);
console.log(
  `growth ${(growth / 1024).toFixed(2)} KiB a step, ${((100 * growth) / stateBytes).toFixed(2)} % of the state`,
);
await trainer.close();
