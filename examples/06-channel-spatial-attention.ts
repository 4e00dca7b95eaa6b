// Channel and spatial attention: CBAM, attached to a network that knows nothing of it, learns what and where in a digit counts.
//   node --import ./scripts/typescript.mjs examples/06-channel-spatial-attention.ts
import { ok } from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  adamW, attach, Canvas, CBAM, cosine, createModel, crossEntropy, encodePng, fit, heatShader, imageShader, Loader, loadMnist, run, sliceDataset,
} from "fovea";

const { train, test } = await loadMnist();
const model = createModel("seresnet8", { inChannels: 1, attention: "none" });
const { layers } = attach(model, "*.bn2", (channels) => new CBAM({ channels, reduction: 4 }));
console.log(`attached ${[...layers.keys()].join(", ")}`);

const { evaluation } = await fit({
  model,
  loss: crossEntropy,
  data: new Loader(sliceDataset(train, 0, 1920), { batchSize: 64 }),
  validation: new Loader(sliceDataset(test, 0, 500), { batchSize: 250 }),
  optimizer: adamW({ weightDecay: 0.01 }),
  schedule: cosine({ rate: 0.005 }),
  epochs: 3,
});
console.log(`accuracy ${(100 * evaluation.accuracy!).toFixed(1)} % of 500 test images`);
const count = 200;
const { x } = new Loader(test, { batchSize: count, shuffle: false }).batch(0);
const { taps } = await run(model, { dtype: "float32", shape: [count, 1, 28, 28], data: x }, { taps: ["*.spatial.attention"] });
for (const [path, { shape, data }] of Object.entries(taps)) {
  const [, , h, w] = shape as [number, number, number, number];
  const f = 28 / h;
  let [on, off, a, b] = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) for (let r = 0; r < h; r++) for (let c = 0; c < w; c++) {
    let ink = 0;
    for (let y = 0; y < f; y++) for (let z = 0; z < f; z++) ink += test.pixels(i)[(r * f + y) * 28 + c * f + z]!;
    const g = Number(data[(i * h + r) * w + c]);
    if (ink / f / f > 64) { on += g; a++; } else { off += g; b++; }
  }
  console.log(path, shape, on / a, off / b);
}
