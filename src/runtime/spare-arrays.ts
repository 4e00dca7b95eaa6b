import type { HostArray, HostTensor } from "../base/dtype.js";
import type { Tensors } from "./protocol.js";

/** Bytes from which on new memory takes longer than the copy into it: it comes from the system page by page. */
const leastBytes = 2 ** 13;

/** Arrays that copies of fed tensors were in, by input: a session gives them back, and the next call writes into them. */
export class SpareArrays {
  readonly #arrays = new Map<string, Pick<HostTensor, "dtype" | "data">>();

  /** An array for a copy of a tensor that is fed to an input; undefined where none is at hand. */
  take(name: string, { dtype, data }: HostTensor): HostArray | undefined {
    const spare = this.#arrays.get(name);
    if (spare?.dtype !== dtype || spare.data.length !== data.length) return undefined;
    this.#arrays.delete(name);
    return spare.data;
  }

  /** Keeps the arrays of tensors that nothing reads any more. */
  give(tensors: Tensors): void {
    for (const [name, { dtype, data }] of Object.entries(tensors)) this.#arrays.set(name, { dtype, data });
  }

  clear(): void {
    this.#arrays.clear();
  }
}

/** Those of the tensors that a run was fed whose arrays are worth being given back. */
export function worthGivingBack(feeds: Tensors): Tensors {
  return Object.fromEntries(Object.entries(feeds).filter(([, { data }]) => data.byteLength >= leastBytes));
}
