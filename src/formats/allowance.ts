import { FormatError } from "../base/errors.js";

/** Every file may make us allocate this much, and as many times its own size. */
const freeBytes = 16 * 2 ** 20;
const timesFile = 16;

/**
 * Memory that reading one file may take beside the file itself: what small files can ask for by lying is bounded,
 * however they do it (compression, tensors that repeat their elements, views copied many times).
 */
export class Allowance {
  readonly #source: string;
  readonly #total: number;
  #left: number;

  constructor(fileBytes: number, source: string) {
    this.#source = source;
    this.#total = freeBytes + timesFile * fileBytes;
    this.#left = this.#total;
  }

  /** Takes `bytes` before they are allocated.
   *  @throws FormatError naming `what`, where they exceed what is left */
  take(bytes: number, what: string): void {
    if (!(bytes <= this.#left)) {
      throw new FormatError(
        `${this.#source}: ${what} takes ${bytes} bytes; ${this.#left} are left of the ${this.#total} that a file of this size may expand to`,
      );
    }
    this.#left -= bytes;
  }
}
