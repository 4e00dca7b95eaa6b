import type { FormatError } from "../base/errors.js";
import { quote } from "../base/quote.js";
import { opcodes } from "./pickle-opcodes.js";

/** What a pickle holds. Tuples are frozen lists; sets are lists. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PickleValue[]
  | PickleDict
  | PickleObject;
export type PickleKey = null | boolean | number | bigint | string;
export type PickleDict = Map<PickleKey, PickleValue>;

/** What an allowed global stands for, and what allowed functions make. */
export abstract class PickleObject {
  /** For errors, such as `a tensor`. */
  abstract readonly kind: string;
}

/** A global that a pickle may call. */
export class PickleFunction extends PickleObject {
  readonly kind = "a function";
  readonly call: (args: readonly PickleValue[], context: CallContext) => PickleValue;

  constructor(call: PickleFunction["call"]) {
    super();
    this.call = call;
  }
}

/** What a function may need of the reader that calls it. */
export interface CallContext {
  /** Pays for `count` items before they are copied; a short call in a pickle can ask for many. */
  readonly spend: (count: number) => void;
  readonly fault: (problem: string) => FormatError;
}

export interface ReadPickleOptions {
  /** Offset of the pickle in the bytes. */
  readonly start?: number;
  /** By `module name`. */
  readonly globals: ReadonlyMap<string, PickleObject>;
  /** Resolves a persistent id; without, they are refused. */
  readonly persistentLoad?: (id: PickleValue, context: CallContext) => PickleValue;
  /** The error for a fault at an offset. */
  readonly fault: (offset: number, problem: string) => FormatError;
}

/** Operations of one pickle, weighted by the memory they take: a training checkpoint of 20,000 tensors spends 2 million. */
const maxWork = 8_000_000;
const costs = { list: 4, bytes: 16, dictionary: 16, call: 16 };
const maxOpenMarks = 1000;
/** Longest text; keys and notes are far shorter. */
const maxTextBytes = 2 ** 24;
const maxNameBytes = 256;
const maxIntegerBytes = 128;

/**
 * Reads one pickle (PEP 307, 3154, 574: protocols 2 to 5) that holds plain values and containers. Nothing of the
 * file's choosing is run: a global is looked up in `globals`, any other is refused by name, and the operations that
 * build objects of classes do not exist here. Work, nesting and lengths are bounded before anything is allocated.
 * @returns the value and the offset behind the pickle
 * @throws FormatError made by `options.fault`
 */
export function readPickle(
  bytes: Uint8Array,
  options: ReadPickleOptions,
): { readonly value: PickleValue; readonly end: number } {
  return new Unpickler(bytes, options).run();
}

class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #options: ReadPickleOptions;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at the open marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #position: number;
  /** Offset of the operation being read. */
  #at: number;
  #work = 0;
  readonly #context: CallContext = {
    spend: (count) => this.#spend(count),
    fault: (problem) => this.#fault(problem),
  };

  constructor(bytes: Uint8Array, options: ReadPickleOptions) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#options = options;
    this.#position = options.start ?? 0;
    this.#at = this.#position;
  }

  run(): { readonly value: PickleValue; readonly end: number } {
    const [protoOpcode, protocol] = [this.#uint8(), this.#uint8()];
    if (protoOpcode !== opcodes.PROTO) throw this.#fault("no pickle of protocol 2 or later starts here");
    if (protocol < 2 || protocol > 5) throw this.#fault(`pickle protocol ${protocol}; 2 to 5 are read`);
    for (;;) {
      this.#at = this.#position;
      this.#spend(1);
      const opcode = this.#uint8();
      if (opcode === opcodes.STOP) return { value: this.#result(), end: this.#position };
      const operation = Unpickler.#operations[opcode];
      if (operation === undefined) {
        const hex = opcode.toString(16).padStart(2, "0");
        throw this.#fault(`opcode 0x${hex}, which builds nothing that weights need`);
      }
      operation(this);
    }
  }

  #result(): PickleValue {
    if (this.#stack.length !== 1 || this.#marks.length > 0) {
      throw this.#fault(`ends with ${this.#stack.length} values and ${this.#marks.length} open marks`);
    }
    return this.#stack[0]!;
  }

  /** By opcode. None of those that build objects of classes is here. */
  static readonly #operations: Readonly<Record<number, (reader: Unpickler) => void>> = {
    // Frames only group bytes.
    [opcodes.FRAME]: (r) => r.#room(r.#length8(), "a frame"),
    // Constants and numbers.
    [opcodes.NONE]: (r) => r.#push(null),
    [opcodes.NEWTRUE]: (r) => r.#push(true),
    [opcodes.NEWFALSE]: (r) => r.#push(false),
    [opcodes.BININT1]: (r) => r.#push(r.#uint8()),
    [opcodes.BININT2]: (r) => r.#push(r.#uint16()),
    [opcodes.BININT]: (r) => r.#push(r.#uint32() | 0),
    [opcodes.LONG1]: (r) => r.#push(r.#integer(r.#uint8())),
    [opcodes.LONG4]: (r) => r.#push(r.#integer(r.#uint32())),
    [opcodes.BINFLOAT]: (r) => r.#push(r.#float()),
    // Text and bytes.
    [opcodes.SHORT_BINUNICODE]: (r) => r.#push(r.#text(r.#uint8())),
    [opcodes.BINUNICODE]: (r) => r.#push(r.#text(r.#uint32())),
    [opcodes.BINUNICODE8]: (r) => r.#push(r.#text(r.#length8())),
    [opcodes.SHORT_BINSTRING]: (r) => r.#push(r.#text(r.#uint8())),
    [opcodes.BINSTRING]: (r) => r.#push(r.#text(r.#uint32())),
    [opcodes.SHORT_BINBYTES]: (r) => r.#push(r.#binary(r.#uint8())),
    [opcodes.BINBYTES]: (r) => r.#push(r.#binary(r.#uint32())),
    [opcodes.BINBYTES8]: (r) => r.#push(r.#binary(r.#length8())),
    [opcodes.BYTEARRAY8]: (r) => r.#push(r.#binary(r.#length8())),
    // Tuples.
    [opcodes.EMPTY_TUPLE]: (r) => r.#tuple([]),
    [opcodes.TUPLE1]: (r) => r.#tuple(r.#popMany(1)),
    [opcodes.TUPLE2]: (r) => r.#tuple(r.#popMany(2)),
    [opcodes.TUPLE3]: (r) => r.#tuple(r.#popMany(3)),
    [opcodes.TUPLE]: (r) => r.#tuple(r.#popMark()),
    // Lists and sets.
    [opcodes.EMPTY_LIST]: (r) => r.#list([]),
    [opcodes.EMPTY_SET]: (r) => r.#list([]),
    [opcodes.LIST]: (r) => r.#list(r.#popMark()),
    [opcodes.FROZENSET]: (r) => r.#tuple(r.#popMark()),
    [opcodes.APPEND]: (r) => r.#append(r.#popMany(1)),
    [opcodes.APPENDS]: (r) => r.#append(r.#popMark()),
    [opcodes.ADDITEMS]: (r) => r.#append(r.#popMark()),
    // Dictionaries.
    [opcodes.EMPTY_DICT]: (r) => r.#dictionary([]),
    [opcodes.DICT]: (r) => r.#dictionary(r.#popMark()),
    [opcodes.SETITEM]: (r) => r.#setItems(r.#popMany(2)),
    [opcodes.SETITEMS]: (r) => r.#setItems(r.#popMark()),
    // The stack and the memo.
    [opcodes.MARK]: (r) => r.#mark(),
    [opcodes.POP]: (r) => r.#pop(),
    [opcodes.POP_MARK]: (r) => r.#popMark(),
    [opcodes.DUP]: (r) => r.#push(r.#top()),
    [opcodes.BINPUT]: (r) => r.#memo.set(r.#uint8(), r.#top()),
    [opcodes.LONG_BINPUT]: (r) => r.#memo.set(r.#uint32(), r.#top()),
    [opcodes.MEMOIZE]: (r) => r.#memo.set(r.#memo.size, r.#top()),
    [opcodes.BINGET]: (r) => r.#recall(r.#uint8()),
    [opcodes.LONG_BINGET]: (r) => r.#recall(r.#uint32()),
    // Globals, calls and references.
    [opcodes.GLOBAL]: (r) => r.#global(r.#line(), r.#line()),
    [opcodes.STACK_GLOBAL]: (r) => r.#stackGlobal(),
    [opcodes.REDUCE]: (r) => r.#call(),
    [opcodes.BUILD]: (r) => r.#attributes(),
    [opcodes.BINPERSID]: (r) => r.#persistent(),
  };

  // --- operations

  #append(items: readonly PickleValue[]): void {
    const list = this.#top();
    if (!Array.isArray(list) || Object.isFrozen(list)) throw this.#fault(`items for ${kindOf(list)}`);
    for (const item of items) list.push(item);
  }

  #list(items: PickleValue[]): void {
    this.#spend(costs.list);
    this.#push(items);
  }

  #tuple(items: PickleValue[]): void {
    this.#spend(costs.list);
    this.#push(Object.freeze(items));
  }

  #dictionary(items: readonly PickleValue[]): void {
    this.#spend(costs.dictionary);
    this.#push(new Map());
    this.#setItems(items);
  }

  #setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof Map)) throw this.#fault(`keys for ${kindOf(dict)}`);
    if (items.length % 2 !== 0) throw this.#fault("a key without value");
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]!;
      if (!isPickleKey(key)) throw this.#fault(`${kindOf(key)} as a key; text and numbers are read`);
      dict.set(key, items[i + 1]!);
    }
  }

  #global(module: string, name: string): void {
    const found = this.#options.globals.get(`${module} ${name}`);
    if (found === undefined) {
      throw this.#fault(
        `refers to ${quote(`${module}.${name}`)}, which is none of the types and functions that rebuild weights; nothing is run (torch.save(model.state_dict(), path) writes weights alone)`,
      );
    }
    this.#push(found);
  }

  #stackGlobal(): void {
    const [module, name] = this.#popMany(2);
    if (typeof module !== "string" || typeof name !== "string") {
      throw this.#fault(`a global named by ${kindOf(module!)} and ${kindOf(name!)}`);
    }
    if (module.length > maxNameBytes || name.length > maxNameBytes) throw this.#fault("a global's long name");
    this.#global(module, name);
  }

  #call(): void {
    this.#spend(costs.call);
    const [target, args] = this.#popMany(2);
    if (!(target instanceof PickleFunction)) throw this.#fault(`calls ${kindOf(target!)}`);
    if (!Array.isArray(args)) throw this.#fault(`calls with ${kindOf(args!)}, not a tuple`);
    this.#push(target.call(args, this.#context));
  }

  /** Attributes of a dictionary, such as a state dict's `_metadata`: they are no items and are dropped. */
  #attributes(): void {
    const [target, attributes] = this.#popMany(2);
    if (!(target instanceof Map && attributes instanceof Map)) {
      throw this.#fault(`sets the state of ${kindOf(target!)} to ${kindOf(attributes!)}`);
    }
    this.#push(target);
  }

  #persistent(): void {
    if (!this.#options.persistentLoad) throw this.#fault("a persistent id");
    this.#spend(costs.call);
    this.#push(this.#options.persistentLoad(this.#pop(), this.#context));
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#fault(`recalls value ${index}, which was not stored`);
    this.#push(value);
  }

  // --- the stack

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #top(): PickleValue {
    if (this.#stack.length <= this.#floor()) throw this.#fault("the stack is empty");
    return this.#stack.at(-1)!;
  }

  #pop(): PickleValue {
    return this.#popMany(1)[0]!;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length - this.#floor() < count) throw this.#fault("the stack is empty");
    return this.#stack.splice(this.#stack.length - count);
  }

  #mark(): void {
    if (this.#marks.length === maxOpenMarks) throw this.#fault(`nesting deeper than ${maxOpenMarks}`);
    this.#marks.push(this.#stack.length);
  }

  #popMark(): PickleValue[] {
    const height = this.#marks.pop();
    if (height === undefined) throw this.#fault("closes a mark that was not opened");
    return this.#stack.splice(height);
  }

  #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  // --- the bytes

  #uint8(): number {
    return this.#take(1, "an operation", (at) => this.#view.getUint8(at));
  }

  #uint16(): number {
    return this.#take(2, "a number", (at) => this.#view.getUint16(at, true));
  }

  #uint32(): number {
    return this.#take(4, "a number", (at) => this.#view.getUint32(at, true));
  }

  #float(): number {
    return this.#take(8, "a number", (at) => this.#view.getFloat64(at));
  }

  /** Exact up to 2^53; more is refused as longer than the file. */
  #length8(): number {
    return this.#take(8, "a length", (at) => Number(this.#view.getBigUint64(at, true)));
  }

  /** A little-endian two's complement integer. */
  #integer(length: number): number | bigint {
    if (length > maxIntegerBytes) throw this.#fault(`an integer of ${length} bytes`);
    const bytes = this.#binary(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    const signed = BigInt.asIntN(8 * length, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  #text(length: number): string {
    if (length > maxTextBytes) throw this.#fault(`text of ${length} bytes; at most ${maxTextBytes} are read`);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.#binary(length));
    } catch (cause) {
      if (cause instanceof TypeError) throw this.#fault("text that is not UTF-8");
      throw cause;
    }
  }

  #binary(length: number): Uint8Array {
    this.#spend(costs.bytes);
    return this.#take(length, "bytes", (at) => this.#bytes.subarray(at, at + length));
  }

  /** Text up to the end of the line. */
  #line(): string {
    const start = this.#position;
    const end = this.#bytes.subarray(start, start + maxNameBytes).indexOf(0x0a);
    if (end < 0) throw this.#fault("a global's name without end");
    const text = this.#text(end);
    this.#position++;
    return text;
  }

  #take<T>(length: number, what: string, read: (at: number) => T): T {
    const at = this.#room(length, what);
    this.#position += length;
    return read(at);
  }

  /** The position, if `length` bytes follow it. */
  #room(length: number, what: string): number {
    if (length > this.#bytes.length - this.#position) {
      throw this.#fault(`${what} of ${length} bytes reaches beyond the end: truncated`);
    }
    return this.#position;
  }

  #spend(count: number): void {
    this.#work += count;
    if (this.#work > maxWork) throw this.#fault(`more than ${maxWork} operations and items`);
  }

  #fault(problem: string): FormatError {
    return this.#options.fault(this.#at, problem);
  }
}

/** True for what dictionaries may have as keys. */
function isPickleKey(value: PickleValue): value is PickleKey {
  return value === null || typeof value !== "object";
}

/** A value in words, for errors. */
export function kindOf(value: PickleValue): string {
  if (value === null) return "None";
  if (value instanceof Map) return "a dictionary";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof PickleObject) return value.kind;
  if (Array.isArray(value)) return Object.isFrozen(value) ? "a tuple" : "a list";
  if (typeof value === "string") return "text";
  return typeof value === "boolean" ? "a boolean" : "a number";
}

/** A value for errors: numbers and short text as they are, other things by their kind. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return "missing";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "string" && value.length <= 80 ? quote(value) : kindOf(value);
}
