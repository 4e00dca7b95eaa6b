// Spatial attention: with criss-cross attention a pixel reads what stands at the other end of its row.
//   node --import ./scripts/typescript.mjs examples/05-spatial-attention.ts
import { ok } from "node:assert/strict";
import {
  adamW,
  Conv2d,
  CrissCrossAttention,
  cosine,
  crossEntropy,
  fit,
  Linear,
  Loader,
  MemoryDataset,
  Module,
  ops,
  run,
  type Tensor,
} from "fovea";

// A mark stands at the left of one row. At the right of every row stands a light, red or green at random; the class is the light of the
// marked row. The convolution sees three columns, so only attention can bring mark and light together.
const [height, width, features] = [6, 12, 16];
const classes = ["red", "green"];

function lights(count: number, seed: number) {
  let state = seed;
  const draw = (below: number) => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
  const images = new Uint8Array(count * 3 * height * width);
  const labels: number[] = [];
  const marked = Array.from({ length: count }, () => draw(height));
  const light = (image: number, channel: number, row: number, column: number) => {
    images[((image * 3 + channel) * height + row) * width + column] = 255;
  };
  for (const [image, mark] of marked.entries()) {
    light(image, 2, mark, 0);
    for (let row = 0; row < height; row++) {
      const color = draw(classes.length);
      light(image, color, row, width - 1);
      if (row === mark) labels.push(color);
    }
  }
  const data = new MemoryDataset({
    name: "lights",
    classes,
    imageShape: [3, height, width],
    normalization: { mean: [0, 0, 0], std: [1, 1, 1] },
    images,
    labels,
  });
  return { data, marked };
}

class Net extends Module {
  readonly conv = new Conv2d({ inChannels: 3, outChannels: features, kernel: 3, padding: 1 });
  readonly ccnet?: CrissCrossAttention;
  readonly head = new Conv2d({ inChannels: features, outChannels: features, kernel: 1 });
  readonly fc = new Linear({ inFeatures: features, outFeatures: classes.length });

  constructor(options: { attention: boolean }) {
    super();
    if (options.attention)
      this.ccnet = new CrissCrossAttention({ channels: features, reduction: 2, recurrence: 1 });
  }

  /** @param x [N, 3, H, W]  @returns logits [N, 2] */
  forward(x: Tensor): Tensor {
    const y = ops.relu(this.conv.forward(x));
    const read = ops.relu(this.head.forward(this.ccnet?.forward(y) ?? y));
    return this.fc.forward(ops.mean(read, { axes: [2, 3], keepDims: false }));
  }
}

const [train, test] = [lights(1536, 1), lights(300, 2)];

async function accuracyOf(model: Net): Promise<number> {
  const { evaluation } = await fit({
    model,
    loss: crossEntropy,
    data: new Loader(train.data, { batchSize: 64 }),
    validation: new Loader(test.data, { batchSize: 100 }),
    optimizer: adamW(),
    schedule: cosine({ rate: 0.03 }),
    epochs: 15,
  });
  return evaluation.accuracy!;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const net = new Net({ attention: true });
const [without, reached] = [await accuracyOf(new Net({ attention: false })), await accuracyOf(net)];
console.log(`accuracy ${percent(without)} without attention, ${percent(reached)} with`);

const { x } = await new Loader(test.data, { batchSize: 300, shuffle: false }).batch(0);
const images = { dtype: "float32", shape: [300, 3, height, width], data: x } as const;
const { taps } = await run(net, images, { taps: ["ccnet.attention1"] });
const attention = taps["ccnet.attention1"]!; // [300, height, width, height + width]: the column of each pixel, then its row

/** What the marked pixel of an image attends to in its row. */
const rowWeights = (image: number) => {
  const pixel = (image * height + test.marked[image]!) * width;
  const weights = attention.data.slice(pixel * (height + width) + height, (pixel + 1) * (height + width));
  return Array.from(weights, Number);
};
for (let image = 0; image < 6; image++) {
  const row = rowWeights(image).map((weight) => "·░▒▓█"[Math.min(4, Math.floor(5 * weight))]);
  console.log(`from the mark along its row  ${row.join(" ")}  ${classes[test.data.label(image)]}`);
}
/** Mean attention from the mark to the light, by its colour. It is enough to find one of the two: where it is not, there is the other. */
const shares = classes.map((_, label) => {
  const chosen = test.marked.flatMap((_, image) => (test.data.label(image) === label ? [image] : []));
  return chosen.reduce((sum, image) => sum + rowWeights(image)[width - 1]! / chosen.length, 0);
});
const equal = 1 / (height + width);
for (const [label, name] of classes.entries()) {
  console.log(`the mark gives ${percent(shares[label]!)} of its attention to a ${name} light`);
}
console.log(`it would be ${percent(equal)} if all pixels were equal`);
ok(reached > without + 0.1, "attention helps");
ok(Math.max(...shares) > 5 * equal, "the mark looks at the light");
