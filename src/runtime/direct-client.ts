import type { Client, Handlers, RequestName, Requests } from "./protocol.js";

/** Has requests carried out on the calling thread, one after the other, in the order in which they are made. */
export class DirectClient implements Client {
  readonly failed = false;
  readonly sharesMemory = true;
  readonly #handlers: Handlers;
  #last: Promise<unknown> = Promise.resolve();

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
  }

  call<K extends RequestName>(name: K, argument: Requests[K]["argument"]): Promise<Requests[K]["result"]> {
    const answer = this.#last.then(() => this.#handlers[name](argument));
    this.#last = answer.catch(() => undefined);
    return answer;
  }
}
