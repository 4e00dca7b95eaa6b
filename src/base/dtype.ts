/** Element types of a graph. float16 and float64 exist in files only. */
export type DType = "float32" | "int64" | "bool";

/** Host array that holds a tensor of each dtype; bool is one byte an element, 0 or 1. */
export type TypedArrayOf<T extends DType> = T extends "float32"
  ? Float32Array
  : T extends "int64"
    ? BigInt64Array
    : Uint8Array;

/** Host values of a tensor. */
export type HostArray = Float32Array | BigInt64Array | Uint8Array;

const constructors = { float32: Float32Array, int64: BigInt64Array, bool: Uint8Array } as const;

/** Bytes per element on the host. */
export const bytesPerElement: Readonly<Record<DType, number>> = { float32: 4, int64: 8, bool: 1 };

/** A zero-filled host array of `length` elements. */
export function hostArray<T extends DType>(dtype: T, length: number): TypedArrayOf<T> {
  return new constructors[dtype](length) as TypedArrayOf<T>;
}

/** An array over memory that is there. */
export function hostArrayAt(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): HostArray {
  return new constructors[dtype](buffer as ArrayBuffer, byteOffset, length);
}

/** Number of elements of a concrete shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A tensor on the host: row-major values with their shape. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}
