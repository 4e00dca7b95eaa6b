// A user's program: a small network with a mechanism, trained on stripes, and a look at its gates.
import { adamW, crossEntropy, fit, Loader, MemoryDataset, run, SqueezeExcitation, type Tensor } from "fovea";
import { Conv2d, Linear, Module } from "fovea/nn";
import { mean, relu } from "fovea/ops";

class StripeNet extends Module {
  readonly conv = new Conv2d({ inChannels: 1, outChannels: 16, kernel: 3, padding: 1 });
  readonly se = new SqueezeExcitation({ channels: 16, reduction: 4 });
  readonly fc = new Linear({ inFeatures: 16, outFeatures: 2 });

  /** @param x [N, 1, H, W]  @returns [N, 2] */
  forward(x: Tensor): Tensor {
    const features = this.se.forward(relu(this.conv.forward(x)));
    return this.fc.forward(mean(features, { axes: [2, 3], keepDims: false }));
  }
}

const [count, size] = [64, 8];
const labels = Array.from({ length: count }, (_, index) => index % 2);
const images = Uint8Array.from({ length: count * size * size }, (_, at) => {
  const [image, row, column] = [Math.floor(at / size ** 2), Math.floor(at / size) % size, at % size];
  return (labels[image] === 0 ? row : column) % 2 === 0 ? 255 : 0;
});
const dataset = new MemoryDataset({
  name: "stripes",
  classes: ["horizontal", "vertical"],
  imageShape: [1, size, size],
  normalization: { mean: [0.5], std: [0.5] },
  images,
  labels,
});

const model = new StripeNet();
const losses: number[] = [];
const result = await fit({
  model,
  loss: crossEntropy,
  data: new Loader(dataset, { batchSize: 16 }),
  optimizer: adamW(),
  schedule: 0.02,
  steps: 30,
  callbacks: [
    (event) => {
      if (event.type === "step") losses.push(event.loss);
    },
  ],
});
const { outputs, taps } = await run(
  model,
  { dtype: "float32", shape: [2, 1, size, size], data: new Float32Array(2 * size * size).fill(0.5) },
  { taps: ["*.attention"] },
);
console.log(
  JSON.stringify({
    steps: result.step,
    losses,
    logits: outputs.y?.shape,
    gates: taps["se.attention"]?.shape,
  }),
);
