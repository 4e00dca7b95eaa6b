// Channel attention: squeeze-and-excitation opens the channels that are asked for.
//   node --import ./scripts/typescript.mjs examples/04-channel-attention.ts
import { ok } from "node:assert/strict";
import {
  adamW,
  Conv2d,
  cosine,
  crossEntropy,
  fit,
  Linear,
  Loader,
  MemoryDataset,
  Module,
  ops,
  run,
  SqueezeExcitation,
  type Tensor,
} from "fovea";

// Each of three channels shows stripes, upright or lying at random. The brightness of the upper edge of a fourth channel says which one
// counts. A convolution at the stripes does not see that edge; a gate made of the mean of the whole image does.
const [size, channels, features] = [10, 3, 16];
const classes = ["upright", "lying"];

function stripes(count: number, seed: number) {
  let state = seed;
  const draw = (below: number) => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
  const images: number[] = [];
  const labels: number[] = [];
  const asked = Array.from({ length: count }, () => draw(channels));
  for (const question of asked) {
    for (let channel = 0; channel <= channels; channel++) {
      const [direction, phase] = [draw(2), draw(4)];
      if (channel === question) labels.push(direction);
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < size; column++) {
          const bright = ((direction === 0 ? column : row) + phase) % 4 < 2;
          const stripe = channel < channels && row > 3 ? (bright ? 255 : 0) : 127;
          images.push(channel === channels && row < 3 ? 127 * question : stripe);
        }
      }
    }
  }
  const data = new MemoryDataset({
    name: "stripes",
    classes,
    imageShape: [channels + 1, size, size],
    normalization: { mean: [0.5, 0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5, 0.5] },
    images: Uint8Array.from(images),
    labels,
  });
  return { data, asked };
}

class Net extends Module {
  readonly conv = new Conv2d({ inChannels: channels + 1, outChannels: features, kernel: 3, padding: 1 });
  readonly se?: SqueezeExcitation;
  readonly fc = new Linear({ inFeatures: features, outFeatures: classes.length });

  constructor(options: { attention: boolean }) {
    super();
    if (options.attention) this.se = new SqueezeExcitation({ channels: features, reduction: 1 });
  }

  /** @param x [N, 4, H, W]  @returns logits [N, 2] */
  forward(x: Tensor): Tensor {
    const y = ops.relu(this.conv.forward(x));
    return this.fc.forward(ops.mean(this.se?.forward(y) ?? y, { axes: [2, 3], keepDims: false }));
  }
}

const [train, test] = [stripes(1536, 1), stripes(300, 2)];

async function accuracyOf(model: Net): Promise<number> {
  const { evaluation } = await fit({
    model,
    loss: crossEntropy,
    data: new Loader(train.data, { batchSize: 64 }),
    validation: new Loader(test.data, { batchSize: 100 }),
    optimizer: adamW(),
    schedule: cosine({ rate: 0.05 }),
    epochs: 15,
  });
  return evaluation.accuracy!;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const net = new Net({ attention: true });
const [without, reached] = [await accuracyOf(new Net({ attention: false })), await accuracyOf(net)];
// The majority of the three channels is right for three images of four: as good as it gets without knowing which one counts.
console.log(`accuracy ${percent(without)} without attention, ${percent(reached)} with`);

const { x } = await new Loader(test.data, { batchSize: 300, shuffle: false }).batch(0);
const images = { dtype: "float32", shape: [300, channels + 1, size, size], data: x } as const;
const { taps } = await run(net, images, { taps: ["se.attention"] });
const gates = (image: number) =>
  Array.from(taps["se.attention"]!.data.slice(features * image, features * (image + 1)), Number);

/** Mean gates of the images in which a channel counts. */
const means = Array.from({ length: channels }, (_, channel) => {
  const images = test.asked.flatMap((asked, image) => (asked === channel ? [gates(image)] : []));
  return Array.from(
    { length: features },
    (_, at) => images.reduce((sum, g) => sum + g[at]!, 0) / images.length,
  );
});
for (const [channel, values] of means.entries()) {
  const bars = values.map((gate) => "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor(8 * gate))]);
  console.log(`gates when channel ${channel} counts  ${bars.join(" ")}`);
}

/** The channel whose mean gates are nearest to an image's. */
const read = (image: number) => {
  const own = gates(image);
  const distances = means.map((mean) => mean.reduce((sum, gate, at) => sum + (gate - own[at]!) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
};
const told = test.asked.filter((asked, image) => read(image) === asked).length / test.asked.length;
console.log(`the gates alone tell which channel counts for ${percent(told)} of the images (33 % by chance)`);
ok(reached > without + 0.1, "attention helps");
ok(told > 0.5, "the gates depend on the question");
