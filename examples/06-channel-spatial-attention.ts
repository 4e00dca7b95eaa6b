// Channel and spatial attention: CBAM, attached to a network that knows nothing of it, learns where in a digit to look.
//   node --import ./scripts/typescript.mjs examples/06-channel-spatial-attention.ts
import { ok } from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  adamW,
  attach,
  Canvas,
  CBAM,
  cosine,
  crossEntropy,
  encodePng,
  fit,
  heatShader,
  imageShader,
  Loader,
  loadMnist,
  models,
  run,
  sliceDataset,
} from "fovea";

const { train, test } = await loadMnist();
const model = models.create("seresnet8", { inChannels: 1, attention: "none" });
const { layers } = attach(model, ["layer2.*.bn2", "layer3.*.bn2"], (channels) => new CBAM({ channels }));
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
const { x } = await new Loader(test, { batchSize: count, shuffle: false }).batch(0);
const images = { dtype: "float32", shape: [count, 1, 28, 28], data: x } as const;
const map = "layer3.0.bn2Attention.spatial.attention";
const { taps } = await run(model, images, { taps: [map] });
const [side, gates] = [7, taps[map]!.data as Float32Array]; // [count, 1, 7, 7]

/** Mean gate of the places that are mostly ink, and of the others. */
const sums = { ink: 0, inkPlaces: 0, blank: 0, blankPlaces: 0 };
for (let image = 0; image < count; image++) {
  for (let place = 0; place < side * side; place++) {
    const [top, left] = [4 * Math.floor(place / side), 4 * (place % side)];
    let ink = 0;
    for (let at = 0; at < 16; at++) ink += test.pixels(image)[(top + (at >> 2)) * 28 + left + (at & 3)]! / 16;
    const gate = gates[image * side * side + place]!;
    if (ink > 64) [sums.ink, sums.inkPlaces] = [sums.ink + gate, sums.inkPlaces + 1];
    else [sums.blank, sums.blankPlaces] = [sums.blank + gate, sums.blankPlaces + 1];
  }
}
const [onInk, elsewhere] = [sums.ink / sums.inkPlaces, sums.blank / sums.blankPlaces];
console.log(`spatial gate ${onInk.toFixed(2)} where there is ink, ${elsewhere.toFixed(2)} elsewhere`);

// A digit of each class, and over it the spatial gate of the last stage.
const canvas = new Canvas(10 * 70 + 10, 2 * 70 + 10, { density: 2, background: [255, 255, 255] });
for (const [column] of test.classes.entries()) {
  const image = Array.from({ length: count }, (_, at) => at).find((at) => test.label(at) === column)!;
  const digit = imageShader(
    { data: Float32Array.from(test.pixels(image), (value) => value / 255), shape: [1, 28, 28] },
    "nearest",
  );
  const data = gates.subarray(image * side * side, (image + 1) * side * side);
  const heat = heatShader(
    { data, shape: [side, side] },
    { map: "inferno", range: [0, 1], opacity: [0.3, 0.8] },
  );
  for (const [row, shaders] of [[digit], [digit, heat]].entries()) {
    for (const shader of shaders) canvas.pixels(10 + 70 * column, 10 + 70 * row, 60, 60, shader);
  }
}
const file = join(await mkdtemp(join(tmpdir(), "fovea-")), "cbam.png");
await writeFile(file, await encodePng(canvas));
console.log(`picture ${file}`);
ok(evaluation.accuracy! > 0.6, "the digits are told apart");
ok(Math.abs(onInk - elsewhere) > 0.1, "the gate sees the digit");
