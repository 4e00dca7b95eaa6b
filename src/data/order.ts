import { checkInteger } from "../base/check.js";
import { permutation } from "../base/random.js";

/**
 * The endless order in which samples are drawn: position p belongs to epoch floor(p / length), and each epoch is a
 * permutation of its own. Batch t of size B takes the positions tB to (t + 1)B - 1, so that the last, smaller batch
 * of an epoch is filled up from the next. Any position can be asked for at any time.
 */
export class SampleOrder {
  readonly length: number;
  readonly #seed: number;
  readonly #shuffle: boolean;
  /** The permutations of an even and an odd epoch: a batch may span two. */
  readonly #epochs: ({ readonly epoch: number; readonly order: Uint32Array } | undefined)[] = [];

  /** @throws OptionError where the length or the seed is not one */
  constructor(length: number, options: { readonly seed: number; readonly shuffle: boolean }) {
    checkInteger("sample order", "length", length, { min: 1, max: 2 ** 32 - 1 });
    checkInteger("sample order", "seed", options.seed);
    this.length = length;
    this.#seed = options.seed;
    this.#shuffle = options.shuffle;
  }

  /** The epoch that a position belongs to. */
  epoch(position: number): number {
    return Math.floor(position / this.length);
  }

  /** The sample at a position. */
  sample(position: number): number {
    const epoch = this.epoch(position);
    const offset = position - epoch * this.length;
    return this.#shuffle ? this.#permutation(epoch)[offset]! : offset;
  }

  #permutation(epoch: number): Uint32Array {
    const cached = this.#epochs[epoch % 2];
    if (cached?.epoch === epoch) return cached.order;
    const order = permutation(this.length, { seed: this.#seed, stream: "order", step: epoch });
    this.#epochs[epoch % 2] = { epoch, order };
    return order;
  }
}
