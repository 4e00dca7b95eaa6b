import {
  adamW,
  cosine,
  crossEntropy,
  evaluate,
  fit,
  gradCam,
  type HostTensor,
  type ImageDataset,
  type ImageModel,
  Loader,
  MemoryDataset,
  models,
} from "fovea";
import type { Digits } from "./digits.js";

/** Where the page computes. */
export type Device = "wasm" | "webgpu";

const batchSize = 32;
const steps = 250;

/** How a training ended. */
export interface Outcome {
  readonly steps: number;
  /** Share of the test digits that are right. */
  readonly accuracy: number;
}

/** What a network says of a digit. */
export interface Reading {
  readonly digit: number;
  /** Probability of each digit. */
  readonly shares: readonly number[];
  /** [height, width], where the network looked. */
  readonly heat: { readonly data: Float32Array; readonly shape: readonly number[] };
  /** Gates of each block's channels, 0 to 1. */
  readonly gates: readonly Float32Array[];
}

/** A trained network, and what trained it. */
export class Network {
  readonly #model: ImageModel;
  readonly #dataset: ImageDataset;
  readonly #device: Device;

  private constructor(model: ImageModel, dataset: ImageDataset, device: Device) {
    this.#model = model;
    this.#dataset = dataset;
    this.#device = device;
  }

  /** Trains a new network, until the end or until the signal, and counts the test digits that it gets right. */
  static async train(
    digits: Digits,
    device: Device,
    options: { readonly signal: AbortSignal; onStep(step: number, total: number, loss: number): void },
  ): Promise<{ readonly network: Network; readonly outcome: Outcome }> {
    const model = models.create("seresnet8", { inChannels: 1 });
    const session = { device };
    const { step } = await fit({
      model,
      loss: crossEntropy,
      data: new Loader(digits.train, { batchSize }),
      optimizer: adamW(),
      schedule: cosine({ rate: 0.005 }),
      steps,
      session,
      signal: options.signal,
      callbacks: [
        (event) => {
          if (event.type === "step") options.onStep(event.step, steps, event.loss);
        },
      ],
    });
    const { metrics } = await evaluate({
      model,
      loss: crossEntropy,
      data: new Loader(digits.test, { batchSize: 100, shuffle: false }),
      session,
    });
    return {
      network: new Network(model, digits.test, device),
      outcome: { steps: step, accuracy: metrics.accuracy! },
    };
  }

  /** Reads a digit, and shows what it was read from. @param values 28 x 28 grey values */
  async read(values: Uint8Array): Promise<Reading> {
    const { classes, imageShape, normalization } = this.#dataset;
    const drawn = new MemoryDataset({
      name: "the drawing",
      classes,
      imageShape,
      normalization,
      images: values,
      labels: [0],
    });
    const { x } = await new Loader(drawn, { batchSize: 1, shuffle: false }).batch(0);
    const { heat, logits, taps } = await gradCam(
      this.#model,
      { dtype: "float32", shape: [1, ...imageShape], data: x },
      { tap: this.#model.lastFeatures, taps: ["*.attention"], device: this.#device },
    );
    const shares = softmax(floats(logits));
    return {
      digit: shares.indexOf(Math.max(...shares)),
      shares,
      heat: { data: floats(heat), shape: heat.shape.slice(2) },
      gates: Object.values(taps).map(floats),
    };
  }
}

function floats({ data }: HostTensor): Float32Array {
  return data as Float32Array;
}

function softmax(logits: Float32Array): number[] {
  const highest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
