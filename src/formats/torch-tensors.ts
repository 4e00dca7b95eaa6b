import { elementCount } from "../base/dtype.js";
import { quote } from "../base/quote.js";
import type { Allowance } from "./allowance.js";
import { type FileTensor, fileBytesPerElement } from "./file-tensor.js";
import type { TorchStorage, TorchTensor } from "./torch-objects.js";

/** Where a file's storages are. */
export interface StorageBytes {
  /** The values of a storage, exactly as many bytes as it says. */
  readonly bytes: (storage: TorchStorage) => Uint8Array;
  readonly bigEndian: boolean;
}

/**
 * Makes tensors dense: one that is contiguous and little-endian stays a view into the file's bytes, others (transposed,
 * expanded, overlapping, big-endian) are copied once, however often they occur.
 */
export class TensorReader {
  readonly #storages: StorageBytes;
  readonly #allowance: Allowance;
  readonly #done = new Map<TorchTensor, FileTensor>();

  constructor(storages: StorageBytes, allowance: Allowance) {
    this.#storages = storages;
    this.#allowance = allowance;
  }

  /** @param name shown in errors */
  read(tensor: TorchTensor, name: string): FileTensor {
    const known = this.#done.get(tensor);
    if (known) return known;
    const { dtype, shape } = tensor;
    const made = { dtype, shape, data: this.#data(tensor, name) };
    this.#done.set(tensor, made);
    return made;
  }

  #data(tensor: TorchTensor, name: string): Uint8Array {
    const { dtype, shape, offset } = tensor;
    const itemBytes = fileBytesPerElement[dtype];
    const length = elementCount(shape) * itemBytes;
    if (length === 0) return new Uint8Array();
    const storage = this.#storages.bytes(tensor.storage);
    const swap = this.#storages.bigEndian && itemBytes > 1;
    const dense = isContiguous(tensor);
    if (dense && !swap) return storage.subarray(offset * itemBytes, offset * itemBytes + length);
    this.#allowance.take(length, `tensor ${quote(name)}`);
    const data = dense
      ? storage.slice(offset * itemBytes, offset * itemBytes + length)
      : gather(storage, tensor, new Uint8Array(length));
    if (swap) for (let at = 0; at < length; at += itemBytes) data.subarray(at, at + itemBytes).reverse();
    return data;
  }
}

/** Row-major without gaps; the stride of an axis of size 1 does not matter. */
function isContiguous({ shape, strides }: TorchTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** Copies the elements in row-major order. */
function gather(
  storage: Uint8Array,
  { dtype, offset, shape, strides }: TorchTensor,
  out: Uint8Array,
): Uint8Array {
  const itemBytes = fileBytesPerElement[dtype];
  const index = shape.map(() => 0);
  let element = offset;
  for (let at = 0; at < out.length; at += itemBytes) {
    const from = element * itemBytes;
    for (let byte = 0; byte < itemBytes; byte++) out[at + byte] = storage[from + byte]!;
    // The next index: the last axis runs fastest; an axis that is through starts again and carries.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      element += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      element -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}
