import { elementCount } from "../base/dtype.js";
import { FormatError, ShapeError } from "../base/errors.js";
import { type FileDType, type FileTensor, fileBytesPerElement } from "./file-tensor.js";
import { type JsonObject, type JsonValue, readJson } from "./json.js";

/** What a safetensors file holds, in the order of its header. */
export interface Safetensors {
  /** Free text by key; an object without prototype. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors by name; their data are views into the file's bytes, at any alignment. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
}

/** A tensor to be stored: a `HostTensor`, a `FileTensor`, or values of another file dtype. */
export interface WritableTensor {
  readonly dtype: FileDType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** The longest header that is read, as in the reference implementation. */
const maxHeaderBytes = 100_000_000;
const lengthBytes = 8;
const metadataKey = "__metadata__";

const dtypeNames: Readonly<Record<FileDType, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint64: "U64",
  uint32: "U32",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
};
const dtypesByName: ReadonlyMap<JsonValue | undefined, FileDType> = new Map(
  Object.entries(dtypeNames).map(([dtype, name]) => [name, dtype as FileDType]),
);

/**
 * Reads a safetensors file: 8 bytes of little-endian header length, a JSON header, and the tensors' little-endian data
 * (https://github.com/huggingface/safetensors, "Format"). Nothing is trusted: names are unique, shapes fit their
 * bytes, and the tensors cover the data without hole or overlap.
 * @param options.source shown in errors, such as the file's name
 * @throws FormatError naming the tensor or the offset in the file
 */
export function readSafetensors(bytes: Uint8Array, options: { readonly source?: string } = {}): Safetensors {
  const source = options.source ?? "safetensors";
  const headerEnd = lengthBytes + headerLength(bytes, source);
  const header = readHeader(bytes.subarray(lengthBytes, headerEnd), source);
  // A plain view: a Node.js Buffer's slice would share memory where a Uint8Array's copies.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + headerEnd, bytes.byteLength - headerEnd);

  const metadata: Record<string, string> = Object.create(null) as Record<string, string>;
  const entries: Entry[] = [];
  for (const [name, value] of header) {
    if (name === metadataKey) readMetadata(value, metadata, source);
    else entries.push(readEntry(name, value, data.length, source));
  }
  checkCoverage(entries, data.length, headerEnd, source);
  const tensors = new Map(
    entries.map(({ name, dtype, shape, begin, end }) => [
      name,
      { dtype, shape, data: data.subarray(begin, end) },
    ]),
  );
  return { metadata, tensors };
}

/**
 * Writes a safetensors file. Equal tensors and metadata give equal bytes, whatever their order: tensors are stored
 * from the widest dtype to the narrowest, then by name, which aligns every tensor; metadata is sorted by key.
 * @throws FormatError for a name that is taken or reserved; ShapeError where values do not fit the shape
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, WritableTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const sorted = [...tensors].sort(
    ([nameA, a], [nameB, b]) =>
      fileBytesPerElement[b.dtype] - fileBytesPerElement[a.dtype] || (nameA < nameB ? -1 : 1),
  );
  const fields: string[] = [];
  const notes = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (notes.length > 0) {
    const pairs = notes.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    fields.push(`"${metadataKey}":{${pairs.join()}}`);
  }
  const names = new Set([metadataKey]);
  let end = 0;
  for (const [name, tensor] of sorted) {
    if (names.has(name)) {
      throw new FormatError(`safetensors: tensor name ${JSON.stringify(name)} is used twice or reserved`);
    }
    names.add(name);
    checkValues(name, tensor);
    const begin = end;
    end += tensor.data.byteLength;
    const shape = JSON.stringify(tensor.shape);
    fields.push(
      `${JSON.stringify(name)}:{"dtype":"${dtypeNames[tensor.dtype]}","shape":${shape},"data_offsets":[${begin},${end}]}`,
    );
  }

  const header = new TextEncoder().encode(`{${fields.join()}}`);
  const dataStart = lengthBytes + Math.ceil(header.length / 8) * 8;
  const out = new Uint8Array(dataStart + end);
  new DataView(out.buffer).setBigUint64(0, BigInt(dataStart - lengthBytes), true);
  out.fill(0x20, lengthBytes, dataStart).set(header, lengthBytes);
  let offset = dataStart;
  for (const [, { data }] of sorted) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return out;
}

function checkValues(name: string, { dtype, shape, data }: WritableTensor): void {
  const sizes = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!sizes || elementCount(shape) * fileBytesPerElement[dtype] !== data.byteLength) {
    throw new ShapeError(
      `safetensors: tensor ${JSON.stringify(name)} is ${dtype} [${shape}], its values have ${data.byteLength} bytes`,
    );
  }
}

function headerLength(bytes: Uint8Array, source: string): number {
  if (bytes.length < lengthBytes) {
    throw new FormatError(`${source}: ${bytes.length} bytes; the header's length alone takes ${lengthBytes}`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, lengthBytes).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new FormatError(`${source}: a header of ${length} bytes; at most ${maxHeaderBytes} are read`);
  }
  if (length > BigInt(bytes.length - lengthBytes)) {
    throw new FormatError(
      `${source}: a header of ${length} bytes in a file of ${bytes.length}; it is truncated or no safetensors file`,
    );
  }
  return Number(length);
}

function readHeader(bytes: Uint8Array, source: string): JsonObject {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${source}: the header, from offset ${lengthBytes} on, is not UTF-8`, { cause });
  }
  const fault = (position: number, problem: string) => {
    const offset = lengthBytes + new TextEncoder().encode(text.slice(0, position)).length;
    return new FormatError(`${source}: header at offset ${offset}: ${problem}`);
  };
  if (!text.startsWith("{")) throw fault(0, `expected "{", found ${JSON.stringify(text.slice(0, 12))}`);
  return readJson(text, { maxDepth: 3, fault }) as JsonObject;
}

function readMetadata(value: JsonValue, metadata: Record<string, string>, source: string): void {
  if (!(value instanceof Map)) throw new FormatError(`${source}: ${metadataKey} is not an object`);
  for (const [key, text] of value) {
    if (typeof text !== "string") {
      throw new FormatError(`${source}: ${metadataKey}[${shown(key)}] is ${shown(text)}, not a string`);
    }
    metadata[key] = text;
  }
}

/** A header entry; `begin` and `end` count from the start of the data. */
interface Entry {
  readonly name: string;
  readonly dtype: FileDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readEntry(name: string, value: JsonValue, dataBytes: number, source: string): Entry {
  const refuse = (problem: string) => new FormatError(`${source}: tensor ${shown(name)}: ${problem}`);
  if (!(value instanceof Map)) throw refuse("its header entry is not an object");
  for (const key of value.keys()) {
    if (key !== "dtype" && key !== "shape" && key !== "data_offsets") {
      throw refuse(`unknown header field ${shown(key)}`);
    }
  }
  const dtype = dtypesByName.get(value.get("dtype"));
  if (dtype === undefined) {
    throw refuse(`dtype is ${shown(value.get("dtype"))}, not one of ${[...dtypesByName.keys()].join(", ")}`);
  }
  const shape = value.get("shape");
  if (!isSizes(shape)) throw refuse(`shape is ${shown(shape)}, not a list of sizes`);
  let expected = fileBytesPerElement[dtype];
  for (const size of shape) expected *= size;
  if (!Number.isSafeInteger(expected))
    throw refuse(`${dtype} ${shown(shape)} is too large to count its bytes`);

  const offsets = value.get("data_offsets");
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw refuse(`data_offsets is ${shown(offsets)}, not a pair of byte offsets`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    throw refuse(`data_offsets [${begin}, ${end}] do not lie in the file's ${dataBytes} bytes of data`);
  }
  if (end - begin !== expected) {
    throw refuse(`${dtype} ${shown(shape)} takes ${expected} bytes, its data_offsets span ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

function isSizes(value: JsonValue | undefined): value is number[] {
  // -0 is a size in JSON's grammar only.
  return (
    Array.isArray(value) &&
    value.every((size) => Number.isSafeInteger(size) && Object.is(Math.abs(size as number), size))
  );
}

function shown(value: JsonValue | undefined): string {
  if (value === undefined) return "missing";
  const text = value instanceof Map ? "an object" : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/** Every byte of the data belongs to exactly one tensor. */
function checkCoverage(
  entries: readonly Entry[],
  dataBytes: number,
  dataStart: number,
  source: string,
): void {
  let covered = 0;
  let previous = "the header";
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const tensor = `tensor ${shown(name)}`;
    if (begin < covered) {
      throw new FormatError(`${source}: ${tensor} overlaps ${previous} at offset ${dataStart + begin}`);
    }
    if (begin > covered) {
      throw new FormatError(
        `${source}: ${begin - covered} bytes between ${previous} and ${tensor}, at offset ${dataStart + covered}, belong to no tensor`,
      );
    }
    covered = end;
    previous = tensor;
  }
  if (covered < dataBytes) {
    throw new FormatError(
      `${source}: ${dataBytes - covered} bytes after ${previous}, at offset ${dataStart + covered}, belong to no tensor`,
    );
  }
}
