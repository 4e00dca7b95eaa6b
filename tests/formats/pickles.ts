import { opcodes } from "../../src/formats/pickle-opcodes.js";

type Part = number | string | Uint8Array | readonly Part[];

function pieces(part: Part): Uint8Array[] {
  if (typeof part === "number") return [Uint8Array.of(part)];
  if (typeof part === "string") return [new TextEncoder().encode(part)];
  return part instanceof Uint8Array ? [part] : part.flatMap(pieces);
}

/** A pickle of opcodes, their bytes, and parts made by the functions below. */
export function pickle(...parts: Part[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces([opcodes.PROTO, 2, parts, opcodes.STOP])));
}

export function little(bytes: number, value: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}

export function text(value: string): Part {
  const bytes = new TextEncoder().encode(value);
  return [opcodes.BINUNICODE, little(4, bytes.length), bytes];
}

export function integer(value: number): Part {
  return [opcodes.LONG1, 8, ...new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)];
}

export function tuple(...items: Part[]): Part {
  return [opcodes.MARK, items, opcodes.TUPLE];
}

export function list(...items: Part[]): Part {
  return [opcodes.EMPTY_LIST, opcodes.MARK, items, opcodes.APPENDS];
}

export function dict(items: Readonly<Record<string, Part>>): Part {
  const pairs = Object.entries(items).map(([key, value]) => [text(key), value]);
  return [opcodes.EMPTY_DICT, opcodes.MARK, pairs, opcodes.SETITEMS];
}

export function global(module: string, name: string): Part {
  return [opcodes.GLOBAL, `${module}\n${name}\n`];
}

export function call(module: string, name: string, ...args: Part[]): Part {
  return [global(module, name), tuple(...args), opcodes.REDUCE];
}

export function storage(key: string, elements: number, type = "FloatStorage"): Part {
  const id = tuple(text("storage"), global("torch", type), text(key), text("cpu"), integer(elements));
  return [id, opcodes.BINPERSID];
}

/** A tensor of `storage("0", elements)`. */
export function tensor(
  shape: readonly number[],
  strides: readonly number[],
  elements: number,
  offset = 0,
): Part {
  return call(
    "torch._utils",
    "_rebuild_tensor_v2",
    storage("0", elements),
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...strides.map(integer)),
    opcodes.NEWFALSE,
    call("collections", "OrderedDict"),
  );
}
