import { checkInteger } from "../base/check.js";
import { elementCount } from "../base/dtype.js";
import { type Augmentation, composeAugmentations } from "./augment.js";
import type { ImageDataset, ImageShape } from "./dataset.js";
import { normalizationTables } from "./normalization.js";
import { SampleOrder } from "./order.js";

/** Images and labels of one step, in arrays of their own that may be transferred. */
export interface Batch {
  /** Normalized images, float32 [B, C, H, W]. */
  readonly x: Float32Array<ArrayBuffer>;
  /** Labels, int64 [B]. */
  readonly y: BigInt64Array<ArrayBuffer>;
  /** Each image's index in the data set, [B]. */
  readonly indices: Uint32Array<ArrayBuffer>;
}

export interface LoaderOptions {
  readonly batchSize: number;
  /** Seed of order and augmentation. */
  readonly seed?: number;
  /** Whether each epoch has an order of its own; the data set's order otherwise. */
  readonly shuffle?: boolean;
  /** Applied in order to the images of `batch` and `prefetch`, never to those of `sequential`. */
  readonly augment?: readonly Augmentation[];
}

export interface PrefetchOptions {
  /** The step to end before; endless by default. */
  readonly end?: number;
  /** How many batches are prepared ahead (default 2). */
  readonly ahead?: number;
}

/**
 * Batches of a data set. A batch depends on (data set, options, step) alone, so that a run can go on at any step:
 * step t takes the samples at positions tB to (t + 1)B - 1 of the endless `SampleOrder`, and augments each by
 * random numbers keyed by its position.
 */
export class Loader {
  readonly dataset: ImageDataset;
  readonly batchSize: number;
  readonly #seed: number;
  readonly #order: SampleOrder;
  readonly #augmentation: Augmentation | undefined;
  readonly #tables: readonly Float32Array[];

  /** @throws OptionError naming the option, its value and the rule */
  constructor(dataset: ImageDataset, options: LoaderOptions) {
    const { batchSize, seed = 0, shuffle = true, augment = [] } = options;
    checkInteger("loader", "batchSize", batchSize, { min: 1, max: 2 ** 32 - 1 });
    checkInteger("loader", "seed", seed);
    checkInteger("loader", "dataset.length", dataset.length, { min: 1 });
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.#seed = seed;
    this.#order = new SampleOrder(dataset.length, { seed, shuffle });
    this.#augmentation = augment.length > 0 ? composeAugmentations(augment) : undefined;
    this.#tables = normalizationTables(dataset.normalization);
  }

  /** The epoch of a step's first sample. */
  epoch(step: number): number {
    return this.#order.epoch(step * this.batchSize);
  }

  /** The batch of a training step. */
  batch(step: number): Batch {
    checkInteger("loader", "step", step, { max: Math.floor(Number.MAX_SAFE_INTEGER / this.batchSize) - 1 });
    const first = step * this.batchSize;
    return this.#collect(this.batchSize, (i) => this.#order.sample(first + i), first);
  }

  /**
   * The batches from a step on. While the consumer awaits its training step, which runs in another thread, the next
   * ones are prepared, with a turn of the event loop before each.
   */
  async *prefetch(start: number, options: PrefetchOptions = {}): AsyncGenerator<Batch, void, undefined> {
    const { end = Number.POSITIVE_INFINITY, ahead = 2 } = options;
    checkInteger("loader", "start", start);
    if (end !== Number.POSITIVE_INFINITY) checkInteger("loader", "end", end);
    checkInteger("loader", "ahead", ahead);
    const ready: Batch[] = [];
    let next = start;
    let filling = false;
    let stopped = false;
    let failure: { readonly error: unknown } | undefined;
    const fill = async () => {
      filling = true;
      try {
        for (;;) {
          await eventLoopTurn();
          if (stopped || next >= end || ready.length >= ahead) return;
          ready.push(this.batch(next));
          next++;
        }
      } catch (error) {
        failure = { error };
      } finally {
        filling = false;
      }
    };
    try {
      for (let step = start; step < end; step++) {
        let batch = ready.shift();
        if (batch === undefined) {
          if (failure !== undefined) throw failure.error;
          batch = this.batch(next);
          next++;
        }
        if (!filling && failure === undefined) void fill();
        yield batch;
      }
    } finally {
      stopped = true;
    }
  }

  /** All images once, in the data set's order and without augmentation; the last batch may be smaller. */
  *sequential(batchSize: number = this.batchSize): Generator<Batch, void, undefined> {
    checkInteger("loader", "batchSize", batchSize, { min: 1 });
    for (let first = 0; first < this.dataset.length; first += batchSize) {
      yield this.#collect(Math.min(batchSize, this.dataset.length - first), (i) => first + i);
    }
  }

  /** Reads samples; they are augmented where the position of the first is given. */
  #collect(count: number, sample: (i: number) => number, position?: number): Batch {
    const { dataset } = this;
    const size = elementCount(dataset.imageShape);
    const x = new Float32Array(count * size);
    const y = new BigInt64Array(count);
    const indices = new Uint32Array(count);
    const augmentation = position === undefined ? undefined : this.#augmentation;
    const source = new Float32Array(augmentation ? size : 0);
    for (let i = 0; i < count; i++) {
      const index = sample(i);
      indices[i] = index;
      y[i] = BigInt(dataset.label(index));
      const pixels = dataset.pixels(index);
      const target = x.subarray(i * size, (i + 1) * size);
      if (augmentation === undefined) {
        this.#normalizeBytes(pixels, target);
        continue;
      }
      for (let j = 0; j < size; j++) source[j] = pixels[j]! / 255;
      const key = { seed: this.#seed, stream: "augment", step: position! + i };
      augmentation.apply(source, target, dataset.imageShape, key);
      this.#normalize(target);
    }
    return { x, y, indices };
  }

  #normalizeBytes(pixels: Uint8Array, target: Float32Array): void {
    const plane = planeSize(this.dataset.imageShape);
    this.#tables.forEach((table, channel) => {
      for (let j = channel * plane; j < (channel + 1) * plane; j++) target[j] = table[pixels[j]!]!;
    });
  }

  #normalize(image: Float32Array): void {
    const plane = planeSize(this.dataset.imageShape);
    const { mean, std } = this.dataset.normalization;
    mean.forEach((center, channel) => {
      const scale = 1 / std[channel]!;
      for (let j = channel * plane; j < (channel + 1) * plane; j++) image[j] = (image[j]! - center) * scale;
    });
  }
}

function planeSize([, height, width]: ImageShape): number {
  return height * width;
}

/** Lets timers, messages and input be handled. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    // Browsers have no setImmediate; Node.js's setTimeout waits a millisecond at least.
    if (typeof setImmediate === "function") setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}
