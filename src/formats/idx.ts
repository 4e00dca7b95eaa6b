import { FormatError } from "../base/errors.js";

/** The array of an IDX file: its dtype is that of the typed array. */
export interface IdxArray {
  /** Sizes, at least one. */
  readonly shape: readonly number[];
  /** Row-major values; those of one byte are a view into the file's bytes. */
  readonly data: IdxData;
}

export type IdxData = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** Element types by their code in the third byte. */
const types: ReadonlyMap<number, { readonly bytes: number; readonly read: (view: DataView) => IdxData }> =
  new Map([
    [0x08, { bytes: 1, read: (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength) }],
    [0x09, { bytes: 1, read: (view) => new Int8Array(view.buffer, view.byteOffset, view.byteLength) }],
    [
      0x0b,
      { bytes: 2, read: (view) => fill(new Int16Array(view.byteLength / 2), (i) => view.getInt16(2 * i)) },
    ],
    [
      0x0c,
      { bytes: 4, read: (view) => fill(new Int32Array(view.byteLength / 4), (i) => view.getInt32(4 * i)) },
    ],
    [
      0x0d,
      {
        bytes: 4,
        read: (view) => fill(new Float32Array(view.byteLength / 4), (i) => view.getFloat32(4 * i)),
      },
    ],
    [
      0x0e,
      {
        bytes: 8,
        read: (view) => fill(new Float64Array(view.byteLength / 8), (i) => view.getFloat64(8 * i)),
      },
    ],
  ]);

function fill<T extends IdxData>(out: T, value: (index: number) => number): T {
  for (let i = 0; i < out.length; i++) out[i] = value(i);
  return out;
}

/**
 * Reads an IDX file, the format of MNIST: two zero bytes, a type code, the number of dimensions, their sizes, then the
 * values, all big-endian (http://yann.lecun.com/exdb/mnist).
 * @param options.source shown in errors, such as the file's name
 * @throws FormatError where the file is truncated, longer than its sizes say, or no IDX file
 */
export function readIdx(bytes: Uint8Array, options: { readonly source?: string } = {}): IdxArray {
  const source = options.source ?? "IDX";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4)
    throw new FormatError(`${source}: ${bytes.length} bytes; an IDX header takes at least 8`);
  const type = types.get(view.getUint8(2));
  if (view.getUint16(0) !== 0 || type === undefined) {
    const magic = view.getUint32(0).toString(16).padStart(8, "0");
    throw new FormatError(`${source}: starts with 0x${magic}, which is no IDX type (is it compressed?)`);
  }
  const rank = view.getUint8(3);
  if (rank === 0) throw new FormatError(`${source}: an IDX array of no dimensions`);
  const dataStart = 4 + 4 * rank;
  if (bytes.length < dataStart) {
    throw new FormatError(
      `${source}: truncated in the header: ${bytes.length} bytes, ${rank} sizes end at ${dataStart}`,
    );
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const expected = shape.reduce((product, size) => product * size, type.bytes);
  if (!Number.isSafeInteger(expected)) throw new FormatError(`${source}: sizes [${shape}] are too large`);
  const found = bytes.length - dataStart;
  if (found !== expected) {
    const problem = found < expected ? "truncated" : "too long";
    throw new FormatError(
      `${source}: ${problem}: sizes [${shape}] need ${expected} bytes after offset ${dataStart}, found ${found}`,
    );
  }
  return { shape, data: type.read(new DataView(bytes.buffer, bytes.byteOffset + dataStart, found)) };
}
