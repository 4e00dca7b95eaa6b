import type { HostTensor } from "../../../src/base/dtype.js";

/** A bool tensor whose values are given by their row-major index. */
export function bools(shape: readonly number[], value: (index: number) => boolean): HostTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return {
    dtype: "bool",
    shape,
    data: Uint8Array.from({ length: count }, (_, index) => Number(value(index))),
  };
}

/** Rows of the last axes in another order: row i of axis `axis` becomes row order[i]. */
export function permuteRows(x: HostTensor, axis: number, order: readonly number[]): HostTensor {
  const inner = x.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const count = x.shape[axis]!;
  const values = x.data as Float32Array;
  const data = values.map((_, index) => {
    const row = Math.floor(index / inner) % count;
    return values[index + (order[row]! - row) * inner]!;
  });
  return { dtype: "float32", shape: x.shape, data };
}
