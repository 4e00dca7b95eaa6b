import { elementCount } from "../base/dtype.js";
import { FormatError, ShapeError } from "../base/errors.js";
import { quote } from "../base/quote.js";
import { type FileDType, type FileTensor, fileBytesPerElement } from "./file-tensor.js";
import type { WritableTensor } from "./safetensors.js";

const magic = "\x93NUMPY";
/** NumPy itself refuses longer headers of format 2.0 from files that are not trusted. */
const maxHeaderBytes = 10_000;
const maxRank = 64;

/** Type descriptions of little-endian arrays; NumPy has no bfloat16. */
const descriptions: Readonly<Partial<Record<FileDType, string>>> = {
  float64: "<f8",
  float32: "<f4",
  float16: "<f2",
  int64: "<i8",
  int32: "<i4",
  int16: "<i2",
  int8: "|i1",
  uint64: "<u8",
  uint32: "<u4",
  uint16: "<u2",
  uint8: "|u1",
  bool: "|b1",
};
const dtypes: ReadonlyMap<string, FileDType> = new Map(
  Object.entries(descriptions).map(([dtype, description]) => [description, dtype as FileDType]),
);

/**
 * Writes an array as a .npy file of format 1.0, which `numpy.load` reads.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * @throws FormatError for a dtype that NumPy has not; ShapeError where the values do not fit the shape
 */
export function writeNpy({ dtype, shape, data }: WritableTensor): Uint8Array<ArrayBuffer> {
  const description = descriptions[dtype];
  if (!description) throw new FormatError(`npy: NumPy has no ${dtype}`);
  const sizes = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!sizes || elementCount(shape) * fileBytesPerElement[dtype] !== data.byteLength) {
    throw new ShapeError(`npy: ${dtype} [${shape.join(", ")}] does not fit ${data.byteLength} bytes`);
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${description}', 'fortran_order': False, 'shape': ${tuple}, }`;
  // The values begin at a multiple of 64; the header ends with a line feed.
  const start = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(start + data.byteLength);
  const header = `${magic}\x01\x00\x00\x00${text.padEnd(start - 11)}\n`;
  for (let at = 0; at < start; at++) bytes[at] = header.charCodeAt(at);
  new DataView(bytes.buffer).setUint16(8, start - 10, true);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  return bytes;
}

/**
 * Reads a .npy file of format 1.0 or 2.0: an array of one plain little-endian type in C order.
 * @param options.source shown in errors, such as the file's name
 * @returns the array; its data are a view into the file's bytes, at any alignment
 * @throws FormatError for other formats and types, and where sizes and bytes differ
 */
export function readNpy(bytes: Uint8Array, options: { readonly source?: string } = {}): FileTensor {
  const source = options.source ?? "npy";
  const fail = (problem: string) => new FormatError(`${source}: ${problem}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isNpy = bytes.length >= 10 && [...magic].every((letter, at) => bytes[at] === letter.charCodeAt(0));
  if (!isNpy) throw fail("is no .npy file: it does not begin with \\x93NUMPY");
  const [major, minor] = [bytes[6]!, bytes[7]!];
  if ((major !== 1 && major !== 2) || minor !== 0) {
    throw fail(`format ${major}.${minor}; 1.0 and 2.0 are read`);
  }
  const headerStart = major === 1 ? 10 : 12;
  if (bytes.length < headerStart) throw fail(`truncated in the header: ${bytes.length} bytes`);
  const headerBytes = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (headerBytes > maxHeaderBytes) {
    throw fail(`a header of ${headerBytes} bytes; at most ${maxHeaderBytes} are read`);
  }
  const start = headerStart + headerBytes;
  if (start > bytes.length) throw fail(`truncated: the header ends at ${start}, the file at ${bytes.length}`);
  const text = String.fromCharCode(...bytes.subarray(headerStart, start));
  const { description, shape } = readHeader(text, fail);
  const dtype = dtypes.get(description);
  if (!dtype) {
    throw fail(`elements of type ${quote(description)}; known are ${[...dtypes.keys()].join(", ")}`);
  }
  const expected = elementCount(shape) * fileBytesPerElement[dtype];
  if (!Number.isSafeInteger(expected)) throw fail(`sizes [${shape.join(", ")}] are too large`);
  const found = bytes.length - start;
  if (found !== expected) {
    throw fail(
      `${dtype} [${shape.join(", ")}] needs ${expected} bytes after offset ${start}, found ${found}`,
    );
  }
  return { dtype, shape, data: bytes.subarray(start) };
}

/** The header is a Python dictionary of exactly three keys, in any order. */
function readHeader(
  text: string,
  fail: (problem: string) => FormatError,
): { description: string; shape: readonly number[] } {
  const body = /^\{(.*)\}\s*$/s.exec(text)?.[1];
  const entry = /\s*'(\w+)'\s*:\s*('[^']*'|True|False|\([\d,\sL]*\))\s*(?:,|$)\s*/y;
  const values = new Map<string, string>();
  let at = 0;
  while (body !== undefined && at < body.length) {
    entry.lastIndex = at;
    const found = entry.exec(body);
    if (!found || values.has(found[1]!)) break;
    values.set(found[1]!, found[2]!);
    at = entry.lastIndex;
  }
  const description = /^'([^']*)'$/.exec(values.get("descr") ?? "")?.[1];
  const sizes = /^\(([\d,\s]*)\)$/.exec(values.get("shape") ?? "")?.[1];
  const order = values.get("fortran_order");
  const isWhole = at === body?.length && values.size === 3;
  if (
    !isWhole ||
    description === undefined ||
    sizes === undefined ||
    (order !== "True" && order !== "False")
  ) {
    throw fail(`header ${quote(text.trim())}; expected 'descr' of a plain type, 'fortran_order' and 'shape'`);
  }
  const shape = sizes
    .split(",")
    .map((size) => size.trim())
    .filter((size, index, all) => size !== "" || index < all.length - 1)
    .map((size) => (/^\d+$/.test(size) ? Number(size) : Number.NaN));
  if (shape.length > maxRank || !shape.every(Number.isSafeInteger)) throw fail(`shape (${sizes}) is none`);
  if (order === "True" && shape.filter((size) => size > 1).length > 1) {
    throw fail("values in Fortran order; only C order is read");
  }
  return { description, shape };
}
