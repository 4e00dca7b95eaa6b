// Branch attention: a selective kernel chooses between a small and a wide kernel by what the image asks for.
//   node --import ./scripts/typescript.mjs examples/07-branch-attention.ts
import { ok } from "node:assert/strict";
import {
  adamW,
  cosine,
  crossEntropy,
  fit,
  Linear,
  Loader,
  MemoryDataset,
  Module,
  ops,
  run,
  SelectiveKernel,
  type Tensor,
} from "fovea";

// Fine and coarse stripes lie over each other, each upright or lying at random. The upper edge, dark or bright, says which of the two
// counts: the fine ones are seen by the 3x3 kernel, the coarse ones best by the 5x5 kernel (3x3 with holes).
const [size, features] = [14, 16];
const classes = ["upright", "lying"];
const scales = ["fine", "coarse"];

function stripes(count: number, seed: number) {
  let state = seed;
  const draw = (below: number) => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
  const images: number[] = [];
  const labels: number[] = [];
  const asked = Array.from({ length: count }, () => draw(scales.length));
  for (const question of asked) {
    const directions = scales.map(() => draw(classes.length));
    const phases = scales.map(() => draw(4));
    labels.push(directions[question]!);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const bright = scales.map((_, scale) => {
          const position = (directions[scale] === 0 ? column : row) + phases[scale]!;
          return Math.floor(position / (scale + 1)) % 2;
        });
        const stripe = row > 5 ? 105 * bright[0]! + 105 * bright[1]! + draw(45) : 127;
        images.push(row < 4 ? 255 * question : stripe);
      }
    }
  }
  const data = new MemoryDataset({
    name: "stripes",
    classes,
    imageShape: [1, size, size],
    normalization: { mean: [0.5], std: [0.5] },
    images: Uint8Array.from(images),
    labels,
  });
  return { data, asked };
}

class Net extends Module {
  readonly sk = new SelectiveKernel({ inChannels: 1, outChannels: features, splitInput: false });
  readonly fc = new Linear({ inFeatures: features, outFeatures: classes.length });

  /** @param x [N, 1, H, W]  @returns logits [N, 2] */
  forward(x: Tensor): Tensor {
    return this.fc.forward(ops.mean(this.sk.forward(x), { axes: [2, 3], keepDims: false }));
  }
}

const [train, test] = [stripes(1536, 1), stripes(300, 2)];
const net = new Net();
const { evaluation } = await fit({
  model: net,
  loss: crossEntropy,
  data: new Loader(train.data, { batchSize: 64 }),
  validation: new Loader(test.data, { batchSize: 100 }),
  optimizer: adamW(),
  schedule: cosine({ rate: 0.03 }),
  epochs: 10,
});
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
console.log(
  `accuracy ${percent(evaluation.accuracy!)} (75 % is the best without knowing which stripes count)`,
);

const { x } = await new Loader(test.data, { batchSize: 300, shuffle: false }).batch(0);
const images = { dtype: "float32", shape: [300, 1, size, size], data: x } as const;
const { taps } = await run(net, images, { taps: ["sk.attn.attention"] });
const weights = taps["sk.attn.attention"]!.data as Float32Array; // [300, 2 kernels, features, 1, 1]

/** Mean weight of the 5x5 kernel in each feature, over the images in which a scale counts. */
const wide = scales.map((_, scale) => {
  const chosen = test.asked.flatMap((asked, image) => (asked === scale ? [image] : []));
  return Array.from({ length: features }, (_, feature) =>
    chosen.reduce((sum, image) => sum + weights[(2 * image + 1) * features + feature]! / chosen.length, 0),
  );
});
for (const [scale, name] of scales.entries()) {
  const bars = wide[scale]!.map((weight) => "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor(8 * weight))]);
  console.log(`weight of the 5x5 kernel when ${name.padEnd(6)} stripes count  ${bars.join(" ")}`);
}
const means = wide.map((values) => values.reduce((sum, weight) => sum + weight / features, 0));
console.log(`on average ${percent(means[0]!)} for fine stripes, ${percent(means[1]!)} for coarse ones`);
ok(evaluation.accuracy! > 0.85, "the choice helps");
ok(means[1]! > means[0]! + 0.05, "coarse stripes are left to the wide kernel");
