import type { Client, Handlers, RequestName, Requests } from "./protocol.js";

/** Has requests carried out on the calling thread, one after the other, in the order in which they are made. */
export class DirectClient implements Client {
  readonly failed = false;
  readonly sharesMemory = true;
  readonly #load: () => Promise<Handlers>;
  #handlers: Handlers | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param load gives what answers requests; asked with the first one */
  constructor(load: () => Promise<Handlers>) {
    this.#load = load;
  }

  call<K extends RequestName>(name: K, argument: Requests[K]["argument"]): Promise<Requests[K]["result"]> {
    const answer = this.#last.then(async () => {
      this.#handlers ??= await this.#load();
      return this.#handlers[name](argument);
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }
}
