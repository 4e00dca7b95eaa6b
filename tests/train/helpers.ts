import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal, randomInteger } from "../../src/base/random.js";
import { MemoryDataset } from "../../src/data/dataset.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Dropout } from "../../src/nn/dropout.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { relu } from "../../src/ops/activation.js";
import { reshape } from "../../src/ops/shape.js";
import type { TrainingBatch } from "../../src/train/data.js";
import type { RecordedEvent } from "../../src/train/events.js";
import type { RunStorage } from "../../src/train/run-storage.js";

export function floats(shape: readonly number[], values: Iterable<number>): HostTensor {
  return { dtype: "float32", shape, data: Float32Array.from(values) };
}

export function labels(values: readonly number[]): HostTensor {
  return { dtype: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) };
}

/** Two affine layers, and what a test wants between them. */
export class TwoLayers extends Module {
  readonly first: Linear;
  readonly second: Linear;
  readonly between: (x: Tensor) => Tensor;

  constructor(
    inFeatures: number,
    hidden: number,
    outFeatures: number,
    between: (x: Tensor) => Tensor = relu,
  ) {
    super();
    this.first = new Linear({ inFeatures, outFeatures: hidden });
    this.second = new Linear({ inFeatures: hidden, outFeatures });
    this.between = between;
  }

  forward(x: Tensor): Tensor {
    const hidden = this.tap("hidden", this.first.forward(x));
    return this.second.forward(this.tap("between", this.between(hidden)));
  }
}

/** A small classifier of images with everything a run has to keep: running statistics and dropout. */
export class SmallClassifier extends Module {
  readonly first: Linear;
  readonly norm: BatchNorm;
  readonly dropout: Dropout;
  readonly second: Linear;

  constructor(inputs = 12, classes = 3) {
    super();
    this.first = new Linear({ inFeatures: inputs, outFeatures: 8 });
    this.norm = new BatchNorm({ channels: 8 });
    this.dropout = new Dropout({ rate: 0.2 });
    this.second = new Linear({ inFeatures: 8, outFeatures: classes });
  }

  forward(x: Tensor): Tensor {
    const flat = reshape(x, { shape: [x.shape[0]!, -1] });
    return this.second.forward(this.dropout.forward(relu(this.norm.forward(this.first.forward(flat)))));
  }
}

/** Images of 3 classes, each a pattern of its own under noise: [3, 2, 2], easily learned. */
export function patterns(length: number, name = "patterns"): MemoryDataset {
  const noise = new Float32Array(length * 12);
  fillNormal(noise, { seed: 3, stream: name, step: 0 }, 0, 25);
  const classes = Array.from({ length }, (_, i) => randomInteger({ seed: 4, stream: name, step: 0 }, i, 3));
  const images = Uint8Array.from(noise, (value, index) => {
    const label = classes[Math.floor(index / 12)]!;
    return Math.min(
      Math.max(Math.round((Math.floor((index % 12) / 4) === label ? 190 : 70) + value), 0),
      255,
    );
  });
  return new MemoryDataset({
    name,
    classes: ["a", "b", "c"],
    imageShape: [3, 2, 2],
    normalization: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    images,
    labels: classes,
  });
}

/** Random pairs of `features` inputs and one target. */
export function regressionBatch(samples: number, features: number, step = 0): TrainingBatch {
  const x = new Float32Array(samples * features);
  const y = new Float32Array(samples);
  fillNormal(x, { seed: 1, stream: "x", step });
  fillNormal(y, { seed: 1, stream: "y", step });
  return {
    x: { dtype: "float32", shape: [samples, features], data: x },
    y: { dtype: "float32", shape: [samples, 1], data: y },
  };
}

/** A run kept in memory. */
export class MemoryRun implements RunStorage {
  events: RecordedEvent[] = [];
  readonly files = new Map<"last" | "best", Uint8Array>();

  record(event: RecordedEvent): void {
    this.events.push(event);
  }

  async flush(): Promise<void> {}

  async save(name: "last" | "best", bytes: Uint8Array): Promise<void> {
    this.files.set(name, bytes);
  }

  async load(name: "last" | "best"): Promise<Uint8Array | undefined> {
    return this.files.get(name);
  }

  async cutBack(step: number): Promise<void> {
    this.events = this.events.filter((event) => event.step <= step && event.type !== "end");
  }
}

/** Events without what the clock says. */
export function untimed(events: readonly RecordedEvent[]): unknown[] {
  return events.map(({ milliseconds: _, ...rest }) => rest);
}
