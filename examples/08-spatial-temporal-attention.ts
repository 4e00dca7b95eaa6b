// Spatial-temporal attention: what the previous frame showed opens channels of the current one.
//   node --import ./scripts/typescript.mjs examples/08-spatial-temporal-attention.ts
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
  SpSequenceNet,
  type Tensor,
} from "fovea";

// In the previous frame a red, green or blue lamp shone somewhere; the current frame shows stripes of all three colours over each
// other, each upright or lying at random. The class is the direction of the stripes in the lamp's colour, wherever the lamp was.
const [size, features] = [10, 16];
const classes = ["upright", "lying"];
const colors = ["red", "green", "blue"];

function videos(count: number, seed: number) {
  let state = seed;
  const draw = (below: number) => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * below);
  };
  const images = new Uint8Array(count * 2 * colors.length * size * size); // [count, previous and current, color, row, column]
  const labels: number[] = [];
  const lamps = Array.from({ length: count }, () => draw(colors.length));
  for (const [video, lamp] of lamps.entries()) {
    const [top, left] = [draw(size - 3), draw(size - 3)];
    for (const [color] of colors.entries()) {
      const [direction, phase] = [draw(classes.length), draw(4)];
      if (color === lamp) labels.push(direction);
      const previous = (2 * video * colors.length + color) * size * size;
      const current = previous + colors.length * size * size;
      for (let place = 0; place < size * size; place++) {
        const [row, column] = [Math.floor(place / size), place % size];
        const lit = color === lamp && row >= top && row < top + 4 && column >= left && column < left + 4;
        images[previous + place] = lit ? 255 : 0;
        images[current + place] = ((direction === 0 ? column : row) + phase) % 4 < 2 ? 255 : 0;
      }
    }
  }
  const data = new MemoryDataset({
    name: "lamps",
    classes,
    imageShape: [2 * colors.length, size, size],
    normalization: { mean: Array(6).fill(0.5), std: Array(6).fill(0.5) },
    images,
    labels,
  });
  return { data, lamps };
}

class Net extends Module {
  readonly conv = new Conv2d({ inChannels: colors.length, outChannels: features, kernel: 3, padding: 1 });
  readonly crossFrame?: SpSequenceNet;
  readonly fc = new Linear({ inFeatures: 2 * features, outFeatures: classes.length });

  constructor(options: { attention: boolean }) {
    super();
    if (options.attention) this.crossFrame = new SpSequenceNet({ channels: features, momentum: 0.1 });
  }

  /** @param x two frames [N, 6, H, W]  @returns logits [N, 2], of both frames: without the gate, their evidence is added up */
  forward(x: Tensor): Tensor {
    const [previous, current] = [0, 3].map((start) => {
      const frame = ops.slice(x, { axes: [1], starts: [start], ends: [start + 3] }); // [N, 3, H, W]
      return ops.relu(this.conv.forward(frame)); // [N, features, H, W]
    }) as [Tensor, Tensor];
    const gated = this.crossFrame?.forward({ x: current, previous }) ?? current;
    const means = [previous, gated].map((frame) => ops.mean(frame, { axes: [2, 3], keepDims: false }));
    return this.fc.forward(ops.concat(means, { axis: 1 }));
  }
}

const [train, test] = [videos(1536, 1), videos(300, 2)];

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
// The majority of the three colours is right for three videos of four: as good as it gets without bringing lamp and stripes together.
console.log(`accuracy ${percent(without)} without attention, ${percent(reached)} with`);

const { x } = await new Loader(test.data, { batchSize: 300, shuffle: false }).batch(0);
const frames = { dtype: "float32", shape: [300, 2 * colors.length, size, size], data: x } as const;
const { taps } = await run(net, frames, { taps: ["crossFrame.attention"] });
const gates = taps["crossFrame.attention"]!.data as Float32Array; // [300, features, 1, 1]

/** Mean gate of each feature of the current frame, over the videos with a lamp of a colour. */
const means = colors.map((_, color) => {
  const chosen = test.lamps.flatMap((lamp, video) => (lamp === color ? [video] : []));
  return Array.from({ length: features }, (_, feature) =>
    chosen.reduce((sum, video) => sum + gates[video * features + feature]! / chosen.length, 0),
  );
});
for (const [color, name] of colors.entries()) {
  const bars = means[color]!.map((gate) => "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor(8 * gate))]);
  console.log(`gates after a ${name.padEnd(5)} lamp  ${bars.join(" ")}`);
}
/** For each lamp, the most that it opens a feature beyond both of the other lamps. */
const opened = means.map((values, color) => {
  const others = means.filter((_, other) => other !== color);
  return Math.max(...values.map((gate, feature) => gate - Math.max(...others.map((o) => o[feature]!))));
});
for (const [color, name] of colors.entries()) {
  console.log(`a ${name} lamp opens a feature by ${opened[color]!.toFixed(2)} more than the other lamps`);
}
ok(reached > without + 0.1, "attention helps");
ok(Math.min(...opened) > 0.2, "each lamp opens features of its own");
