import { checkInteger } from "../base/check.js";
import { elementCount } from "../base/dtype.js";
import { DataError } from "../base/errors.js";
import type { RandomKey } from "../base/random.js";
import { type Augmentation, composeAugmentations } from "./augment.js";
import type { ImageDataset, ImageShape } from "./dataset.js";
import { type BatchMix, oneMixOf } from "./mix.js";
import { normalizationTables, normalizePixels } from "./normalization.js";
import { SampleOrder } from "./order.js";
import { readAhead, unlessBroken } from "./read-ahead.js";

/** Images and labels of one step, in arrays of their own that may be transferred. All images have the data set's `imageShape`. */
export interface Batch {
  /** Normalized images, float32 [B, C, H, W]. */
  readonly x: Float32Array<ArrayBuffer>;
  /** Labels, int64 [B]. */
  readonly y: BigInt64Array<ArrayBuffer>;
  /** Share of each class in each image, float32 [B, classes]; where images are mixed. */
  readonly targets?: Float32Array<ArrayBuffer>;
  /** Each image's index in the data set, [B]. */
  readonly indices: Uint32Array<ArrayBuffer>;
}

export interface LoaderOptions {
  readonly batchSize: number;
  /** Seed of order, augmentation and mixture. */
  readonly seed?: number;
  /** Whether each epoch has an order of its own; the data set's order otherwise. */
  readonly shuffle?: boolean;
  /** Applied in order to the images of `batch` and `prefetch`, never to those of `sequential`. */
  readonly augment?: readonly Augmentation[];
  /** One of these, drawn for each batch, mixes the images of `batch` and `prefetch`; targets are then soft. */
  readonly mix?: readonly BatchMix[];
}

export interface PrefetchOptions {
  /** The step to end before; endless by default. */
  readonly end?: number;
  /** How many batches are prepared ahead (default 2). */
  readonly ahead?: number;
}

/**
 * Batches of a data set. A batch depends on (data set, options, step) alone, whatever is decoded first, so that a run can go on at
 * any step: step t takes the samples at positions tB to (t + 1)B - 1 of the endless `SampleOrder`, crops and augments each by random
 * numbers keyed by its position, and mixes them by numbers keyed by t.
 *
 * Where the data set skips broken images, a training sample that cannot be read is replaced by the next image that can, so that
 * batches keep their size; evaluation goes on without it. `Batch.indices` says which images came.
 */
export class Loader {
  readonly dataset: ImageDataset;
  readonly batchSize: number;
  readonly #seed: number;
  readonly #order: SampleOrder;
  readonly #augmentation: Augmentation | undefined;
  readonly #mix: BatchMix | undefined;
  readonly #tables: readonly Float32Array[];
  readonly #imageSize: number;

  /** @throws OptionError naming the option, its value and the rule */
  constructor(dataset: ImageDataset, options: LoaderOptions) {
    const { batchSize, seed = 0, shuffle = true, augment = [], mix = [] } = options;
    checkInteger("loader", "batchSize", batchSize, { min: 1, max: 2 ** 32 - 1 });
    checkInteger("loader", "seed", seed);
    checkInteger("loader", "dataset.length", dataset.length, { min: 1 });
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.#seed = seed;
    this.#order = new SampleOrder(dataset.length, { seed, shuffle });
    this.#augmentation = augment.length > 0 ? composeAugmentations(augment) : undefined;
    this.#mix = mix.length > 0 ? oneMixOf(mix) : undefined;
    this.#tables = normalizationTables(dataset.normalization);
    this.#imageSize = elementCount(dataset.imageShape);
  }

  /** The epoch of a step's first sample. */
  epoch(step: number): number {
    return this.#order.epoch(step * this.batchSize);
  }

  /** Whether batches have soft targets beside their labels. */
  get mixes(): boolean {
    return this.#mix !== undefined;
  }

  /**
   * The batch of a training step.
   * @throws OptionError for a step that is none; BrokenImageError where an image cannot be read and the data set does not skip it
   */
  async batch(step: number): Promise<Batch> {
    checkInteger("loader", "step", step, { max: Math.floor(Number.MAX_SAFE_INTEGER / this.batchSize) - 1 });
    const batch = this.#allocate(this.batchSize);
    const first = step * this.batchSize;
    const scratch = new Float32Array(this.#augmentation ? this.#imageSize : 0);
    const later: Promise<void>[] = [];
    for (let i = 0; i < this.batchSize; i++) {
      const sample = {
        batch,
        row: i,
        key: { seed: this.#seed, stream: "augment", step: first + i },
        scratch,
      };
      const pending = this.#readTraining(sample, this.#order.sample(first + i), 0);
      if (pending) later.push(pending);
    }
    // Nothing is awaited where all pixels were there.
    if (later.length > 0) await Promise.all(later);
    return this.#mix ? this.#mixed(batch, this.#mix, step) : batch;
  }

  /**
   * The batches from a step on. While the consumer awaits its training step, which runs in another thread, the next
   * ones are prepared, with a turn of the event loop before each; what is decoded elsewhere is decoded for all of them at once.
   */
  async *prefetch(start: number, options: PrefetchOptions = {}): AsyncGenerator<Batch, void, undefined> {
    const { end = Number.POSITIVE_INFINITY, ahead = 2 } = options;
    checkInteger("loader", "start", start);
    if (end !== Number.POSITIVE_INFINITY) checkInteger("loader", "end", end);
    checkInteger("loader", "ahead", ahead);
    const begun: Promise<Batch>[] = [];
    let next = start;
    let filling = false;
    let stopped = false;
    const begin = () => {
      const batch = this.batch(next++);
      // Handled where its step is reached.
      batch.catch(() => {});
      return batch;
    };
    const fill = async () => {
      filling = true;
      for (;;) {
        await eventLoopTurn();
        if (stopped || next >= end || begun.length >= ahead) break;
        begun.push(begin());
      }
      filling = false;
    };
    try {
      for (let step = start; step < end; step++) {
        const batch = begun.shift() ?? begin();
        if (!filling) void fill();
        yield await batch;
      }
    } finally {
      stopped = true;
    }
  }

  /**
   * All images once, in the data set's order and without augmentation, those of the next batches decoded ahead; the last batch may be
   * smaller.
   * @throws OptionError; DataError where no image can be read; BrokenImageError as in `batch`
   */
  async *sequential(batchSize: number = this.batchSize): AsyncGenerator<Batch, void, undefined> {
    checkInteger("loader", "batchSize", batchSize, { min: 1 });
    const { length } = this.dataset;
    let batch = this.#allocate(Math.min(batchSize, length));
    let filled = 0;
    let read = 0;
    const all = Uint32Array.from({ length }, (_, index) => index);
    for await (const { index, pixels } of readAhead(this.dataset, all, 2 * batchSize)) {
      this.#place(batch, filled, index);
      this.#checkSize(pixels, index);
      normalizePixels(pixels, this.#image(batch, filled), this.#tables);
      filled++;
      read++;
      if (filled < batch.y.length) continue;
      yield batch;
      batch = this.#allocate(Math.min(batchSize, length - index - 1));
      filled = 0;
    }
    // Images were left out: the last batch is smaller than it was to be.
    if (filled > 0) yield this.#cut(batch, filled);
    if (read === 0) throw this.#nothingReadable();
  }

  #allocate(count: number): Batch {
    return {
      x: new Float32Array(count * this.#imageSize),
      y: new BigInt64Array(count),
      indices: new Uint32Array(count),
    };
  }

  #cut({ x, y, indices }: Batch, count: number): Batch {
    return { x: x.slice(0, count * this.#imageSize), y: y.slice(0, count), indices: indices.slice(0, count) };
  }

  #image({ x }: Batch, row: number): Float32Array {
    return x.subarray(row * this.#imageSize, (row + 1) * this.#imageSize);
  }

  #place(batch: Batch, row: number, index: number): void {
    batch.indices[row] = index;
    batch.y[row] = BigInt(this.dataset.label(index));
  }

  /** Reads an image, or the next one that can be read, into its row; a promise where it must be waited for. */
  #readTraining(sample: TrainingSample, index: number, skipped: number): Promise<void> | undefined {
    const { dataset } = this;
    const pixels = dataset.trainingPixels
      ? dataset.trainingPixels(index, { ...sample.key, stream: "crop" })
      : dataset.pixels(index);
    if (pixels instanceof Uint8Array) {
      this.#writeTraining(sample, index, pixels);
      return undefined;
    }
    return unlessBroken(dataset, pixels).then((decoded) => {
      if (decoded) return this.#writeTraining(sample, index, decoded);
      if (skipped + 1 === dataset.length) throw this.#nothingReadable();
      return this.#readTraining(sample, (index + 1) % dataset.length, skipped + 1);
    });
  }

  #writeTraining({ batch, row, key, scratch }: TrainingSample, index: number, pixels: Uint8Array): void {
    this.#place(batch, row, index);
    this.#checkSize(pixels, index);
    const target = this.#image(batch, row);
    if (!this.#augmentation) {
      normalizePixels(pixels, target, this.#tables);
      return;
    }
    for (let j = 0; j < pixels.length; j++) scratch[j] = pixels[j]! / 255;
    this.#augmentation.apply(scratch, target, this.dataset.imageShape, key);
    this.#normalize(target);
  }

  #checkSize(pixels: Uint8Array, index: number): void {
    if (pixels.length === this.#imageSize) return;
    const { name, imageShape } = this.dataset;
    throw new DataError(
      `${name}: image ${index} has ${pixels.length} values; all images of a batch are [${imageShape.join(", ")}]`,
    );
  }

  #nothingReadable(): DataError {
    const { name, length } = this.dataset;
    return new DataError(`${name}: none of the ${length} images can be read`);
  }

  #mixed(batch: Batch, mix: BatchMix, step: number): Batch {
    const classes = this.dataset.classes.length;
    const targets = new Float32Array(batch.y.length * classes);
    batch.y.forEach((label, row) => {
      targets[row * classes + Number(label)] = 1;
    });
    mix.apply(batch.x, targets, this.dataset.imageShape, { seed: this.#seed, stream: "mix", step });
    return { ...batch, targets };
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

/** Where a training sample goes, and what its randomness is drawn from. */
interface TrainingSample {
  readonly batch: Batch;
  readonly row: number;
  readonly key: RandomKey;
  /** Room for an image before augmentation. */
  readonly scratch: Float32Array;
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
