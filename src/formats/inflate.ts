import { FormatError } from "../base/errors.js";

/**
 * Decompresses raw deflate data (RFC 1951) that must give exactly `size` bytes: nothing beyond them is computed, and
 * the data must end where the last block does.
 * @param where shown in errors
 * @throws FormatError for data that is damaged, or longer or shorter than it says
 */
export function inflate(data: Uint8Array, size: number, where: string): Uint8Array<ArrayBuffer> {
  return new Inflater(data, size, where).run();
}

const maxBits = 15;
const lengthBase = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
];
const lengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const distanceBase = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
];
const distanceExtra = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
/** The order in which the code lengths of code lengths are stored. */
const lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A canonical prefix code: how many codes of each length there are, and their symbols in order. */
interface PrefixCode {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

class Inflater {
  readonly #data: Uint8Array;
  readonly #where: string;
  readonly #out: Uint8Array<ArrayBuffer>;
  #written = 0;
  #position = 0;
  #bitBuffer = 0;
  #bitCount = 0;

  constructor(data: Uint8Array, size: number, where: string) {
    this.#data = data;
    this.#where = where;
    this.#out = new Uint8Array(size);
  }

  run(): Uint8Array<ArrayBuffer> {
    let last = false;
    while (!last) {
      last = this.#bits(1) === 1;
      const type = this.#bits(2);
      if (type === 0) this.#storedBlock();
      else if (type === 1) this.#block(fixedCodes.literals, fixedCodes.distances);
      else if (type === 2) this.#dynamicBlock();
      else throw this.#fault("a block of unknown type");
    }
    if (this.#written < this.#out.length) {
      throw this.#fault(`expands to ${this.#written} bytes; ${this.#out.length} were promised`);
    }
    if (this.#position < this.#data.length) {
      throw this.#fault(`${this.#data.length - this.#position} bytes follow the last block`);
    }
    return this.#out;
  }

  #storedBlock(): void {
    this.#bitBuffer = 0;
    this.#bitCount = 0;
    const length = this.#bits(16);
    if (this.#bits(16) !== (~length & 0xffff)) throw this.#fault("a stored block whose length is damaged");
    const end = this.#position + length;
    if (end > this.#data.length) throw this.#fault("truncated");
    this.#room(length);
    this.#out.set(this.#data.subarray(this.#position, end), this.#written);
    this.#position = end;
    this.#written += length;
  }

  #dynamicBlock(): void {
    const literals = this.#bits(5) + 257;
    const distances = this.#bits(5) + 1;
    const given = this.#bits(4) + 4;
    if (literals > 286 || distances > 30) throw this.#fault("a block with too many codes");
    const lengths = new Uint8Array(19);
    for (let i = 0; i < given; i++) lengths[lengthOrder[i]!] = this.#bits(3);
    const codeLengths = this.#allLengths(this.#code(lengths, true), literals + distances);
    if (codeLengths[256] === 0) throw this.#fault("a block without end");
    this.#block(
      this.#code(codeLengths.subarray(0, literals), false),
      this.#code(codeLengths.subarray(literals), false),
    );
  }

  #allLengths(code: PrefixCode, count: number): Uint8Array {
    const lengths = new Uint8Array(count);
    let index = 0;
    while (index < count) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[index++] = symbol;
        continue;
      }
      if (symbol === 16 && index === 0) throw this.#fault("a repeated code length without a first");
      const value = symbol === 16 ? lengths[index - 1]! : 0;
      const times = symbol === 18 ? 11 + this.#bits(7) : 3 + this.#bits(symbol === 16 ? 2 : 3);
      if (index + times > count) throw this.#fault("more code lengths than codes");
      lengths.fill(value, index, index + times);
      index += times;
    }
    return lengths;
  }

  /** @param whole refuse an incomplete code; otherwise one of at most a single code may be */
  #code(lengths: Uint8Array, whole: boolean): PrefixCode {
    const code = prefixCode(lengths);
    const used = lengths.length - code.counts[0]!;
    let left = 1;
    for (let bits = 1; bits <= maxBits; bits++) {
      left = 2 * left - code.counts[bits]!;
      if (left < 0) throw this.#fault("an over-subscribed code");
    }
    const single = used === 0 || (used === 1 && code.counts[1] === 1);
    if (left > 0 && (whole || !single)) throw this.#fault("an incomplete code");
    return code;
  }

  #block(literals: PrefixCode, distances: PrefixCode): void {
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.#room(1);
        this.#out[this.#written++] = symbol;
        continue;
      }
      const lengthIndex = symbol - 257;
      if (lengthIndex >= lengthBase.length) throw this.#fault("an unknown length code");
      const length = lengthBase[lengthIndex]! + this.#bits(lengthExtra[lengthIndex]!);
      const distanceIndex = this.#symbol(distances);
      if (distanceIndex >= distanceBase.length) throw this.#fault("an unknown distance code");
      const distance = distanceBase[distanceIndex]! + this.#bits(distanceExtra[distanceIndex]!);
      if (distance > this.#written) throw this.#fault("a reference to before the start");
      this.#room(length);
      // Source and target may overlap: what was just written is repeated.
      for (let i = 0; i < length; i++) this.#out[this.#written] = this.#out[this.#written++ - distance]!;
    }
  }

  #symbol({ counts, symbols }: PrefixCode): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= maxBits; bits++) {
      code |= this.#bits(1);
      const count = counts[bits]!;
      if (code - count < first) return symbols[index + code - first]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw this.#fault("a code that stands for nothing");
  }

  #bits(count: number): number {
    while (this.#bitCount < count) {
      const byte = this.#data[this.#position++];
      if (byte === undefined) throw this.#fault("truncated");
      this.#bitBuffer |= byte << this.#bitCount;
      this.#bitCount += 8;
    }
    const value = this.#bitBuffer & ((1 << count) - 1);
    this.#bitBuffer >>>= count;
    this.#bitCount -= count;
    return value;
  }

  #room(bytes: number): void {
    if (this.#written + bytes > this.#out.length) {
      throw this.#fault(`expands beyond the ${this.#out.length} bytes that were promised`);
    }
  }

  #fault(problem: string): FormatError {
    return new FormatError(`${this.#where}: deflate data: ${problem}`);
  }
}

function prefixCode(lengths: Uint8Array): PrefixCode {
  const counts = new Uint16Array(maxBits + 1);
  for (const length of lengths) counts[length]!++;
  const starts = new Uint16Array(maxBits + 2);
  for (let bits = 1; bits <= maxBits; bits++) starts[bits + 1] = starts[bits]! + counts[bits]!;
  const symbols = new Uint16Array(lengths.length);
  lengths.forEach((length, symbol) => {
    if (length > 0) symbols[starts[length]!++] = symbol;
  });
  return { counts, symbols };
}

const fixedCodes = {
  literals: prefixCode(
    Uint8Array.from({ length: 288 }, (_, symbol) => {
      if (symbol < 144) return 8;
      if (symbol < 256) return 9;
      return symbol < 280 ? 7 : 8;
    }),
  ),
  distances: prefixCode(new Uint8Array(30).fill(5)),
};
