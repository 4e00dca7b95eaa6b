import { NonLocal } from "../../src/attention/spatial/non-local.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { sliceDataset } from "../../src/data/dataset.js";
import { Loader } from "../../src/data/loader.js";
import { loadMnist } from "../../src/data/node-mnist.js";
import { initialize } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { mean, relu } from "../../src/ops/index.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { provideRuntime } from "../../src/runtime/provider.js";
import { run } from "../../src/runtime/run.js";
import { fit } from "../../src/train/fit.js";
import { crossEntropy } from "../../src/train/losses.js";
import { adamW } from "../../src/train/optimizers.js";
import { cosine } from "../../src/train/schedules.js";

/** Two convolutions, a full non-local block over 14 x 14 positions, a convolution and a classifier. */
class DigitNet extends Module {
  readonly conv1 = new Conv2d({ inChannels: 1, outChannels: 16, kernel: 3, stride: 2, padding: 1 });
  readonly conv2 = new Conv2d({ inChannels: 16, outChannels: 16, kernel: 3, padding: 1 });
  readonly attend = new NonLocal({ channels: 16, subSample: false });
  readonly conv3 = new Conv2d({ inChannels: 16, outChannels: 32, kernel: 3, stride: 2, padding: 1 });
  readonly fc = new Linear({ inFeatures: 32, outFeatures: 10 });

  forward(x: Tensor): Tensor {
    const features = this.tap("features", relu(this.conv2.forward(relu(this.conv1.forward(x)))));
    const hidden = relu(this.conv3.forward(this.attend.forward(features)));
    return this.fc.forward(mean(hidden, { axes: [2, 3], keepDims: false }));
  }
}

/** Mean of (1 - cosine) / 2 over all pairs of rows of each matrix [N, P, K]: the distance of the GCNet paper, table 1. */
function rowDistance({ shape, data }: HostTensor): number {
  const [count, rows, width] = shape as [number, number, number];
  let total = 0;
  for (let image = 0; image < count; image++) {
    const sum = new Float64Array(width);
    for (let row = 0; row < rows; row++) {
      const values = (data as Float32Array).subarray(
        (image * rows + row) * width,
        (image * rows + row + 1) * width,
      );
      const length = Math.hypot(...values) || 1;
      for (const [index, value] of values.entries()) sum[index]! += value / length;
    }
    // The sum over all pairs of unit vectors' products is the squared length of their sum.
    const product = sum.reduce((squares, value) => squares + value * value, 0);
    total += (1 - (product - rows) / (rows * (rows - 1))) / 2;
  }
  return total / count;
}

/** Features [N, C, H, W] as rows per position [N, H*W, C]. */
function byPosition({ shape, data }: HostTensor): HostTensor {
  const [count, channels, height, width] = shape as [number, number, number, number];
  const positions = height * width;
  const rows = new Float32Array(data.length);
  for (let at = 0; at < rows.length; at++) {
    const [image, rest] = [Math.floor(at / (channels * positions)), at % (channels * positions)];
    const [position, channel] = [Math.floor(rest / channels), rest % channels];
    rows[at] = Number(data[(image * channels + channel) * positions + position]);
  }
  return { dtype: "float32", shape: [count, positions, channels], data: rows };
}

/** How much the maps of a full non-local block differ between queries, before training and after it. */
export async function queryDependence(): Promise<{ columns: string[]; rows: string[][] }> {
  provideRuntime(nodeRuntime);
  const { train, test } = await loadMnist();
  const model = new DigitNet();
  initialize(model, { seed: 0 });
  const digits = await new Loader(test, { batchSize: 64, shuffle: false }).batch(0);
  const x: HostTensor = { dtype: "float32", shape: [64, 1, 28, 28], data: digits.x as Float32Array };
  const distances = async () => {
    const { taps } = await run(model, x, { taps: ["features", "attend.attention"] });
    return [byPosition(taps.features!), taps["attend.attention"]!].map((rows) =>
      rowDistance(rows).toFixed(4),
    );
  };
  const before = await distances();
  const { evaluation } = await fit({
    model,
    loss: crossEntropy,
    data: new Loader(sliceDataset(train, 0, 9600), { batchSize: 64 }),
    validation: new Loader(sliceDataset(test, 0, 2000), { batchSize: 250 }),
    optimizer: adamW(),
    schedule: cosine({ rate: 0.01 }),
    epochs: 6,
  });
  const accuracy = `${(100 * evaluation.accuracy!).toFixed(1)} %`;
  return {
    columns: ["", "features", "map", "accuracy"],
    rows: [
      ["before training", ...before, ""],
      ["after 900 steps", ...(await distances()), accuracy],
    ],
  };
}
