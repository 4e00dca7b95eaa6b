/** Writes an IDX file of the given type code; `values` holds the elements' big-endian bytes. */
export function idxFile(type: number, shape: readonly number[], values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + values.length);
  bytes.set([0, 0, type, shape.length]);
  const view = new DataView(bytes.buffer);
  shape.forEach((size, axis) => {
    view.setUint32(4 + 4 * axis, size);
  });
  bytes.set(values, 4 + 4 * shape.length);
  return bytes;
}
