/** Keeps byte arrays until their sum reaches a bound. What is kept stays: data that come round in random order gain nothing by exchange. */
export class BoundedCache<T> {
  #room: number;
  readonly #entries = new Map<string, T>();

  constructor(bytes: number) {
    this.#room = bytes;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key);
  }

  /** Keeps an entry of so many bytes where there is room. */
  offer(key: string, entry: T, bytes: number): void {
    if (bytes > this.#room || this.#entries.has(key)) return;
    this.#room -= bytes;
    this.#entries.set(key, entry);
  }
}
