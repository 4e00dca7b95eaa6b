import { type HostArray, type HostTensor, hostArrayAt } from "../base/dtype.js";

/** Bytes of a tensor from which on new memory takes longer than the copy into it: it comes from the system page by page. */
const leastBytes = 2 ** 13;

/** Where a copy begins: at a line of the processor's cache. */
const alignment = 64;

interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Memory that both sides of a channel see, for copies of fed tensors. An array that is moved to another thread counts as one that this
 * thread has made: with inputs of some megabytes V8 collects garbage again and again, in a worker that was idle for a while with every
 * one of them, on the cores that compute.
 */
export class FeedMemory {
  readonly #bytes: number;
  #buffer: SharedArrayBuffer | undefined;
  /** What is in use, by position. */
  readonly #taken: Range[] = [];

  /** @param bytes how much there is; pages that are never written take nothing */
  constructor(bytes = 2 ** 26) {
    this.#bytes = bytes;
  }

  /** A copy that lies here until it is released; undefined where the tensor is small, or there is no room. */
  copyOf({ dtype, data }: HostTensor): HostArray | undefined {
    if (data.byteLength < leastBytes) return undefined;
    const start = this.#take(data.byteLength);
    if (start === undefined) return undefined;
    this.#buffer ??= new SharedArrayBuffer(this.#bytes);
    const copy = hostArrayAt(dtype, this.#buffer, start, data.length);
    copy.set(data as never);
    return copy;
  }

  /** Gives the place of a copy free. Other arrays are none of its business. */
  release({ buffer, byteOffset }: HostArray): void {
    if (buffer !== this.#buffer) return;
    const index = this.#taken.findIndex(({ start }) => start === byteOffset);
    if (index >= 0) this.#taken.splice(index, 1);
  }

  /** The first gap that is large enough. */
  #take(bytes: number): number | undefined {
    const next = this.#taken.findIndex(({ start }, index) => start - this.#endBefore(index) >= bytes);
    const index = next < 0 ? this.#taken.length : next;
    const start = this.#endBefore(index);
    if (start + bytes > this.#bytes) return undefined;
    this.#taken.splice(index, 0, { start, end: Math.ceil((start + bytes) / alignment) * alignment });
    return start;
  }

  #endBefore(index: number): number {
    return this.#taken[index - 1]?.end ?? 0;
  }
}
