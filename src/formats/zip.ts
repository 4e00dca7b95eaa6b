import { crc32 } from "../base/crc32.js";
import { FormatError } from "../base/errors.js";
import { quote } from "../base/quote.js";
import type { Allowance } from "./allowance.js";
import { inflate } from "./inflate.js";

/** A member of a zip archive. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes after decompression. */
  readonly size: number;
  /** The content: a view into the archive where it is stored, decompressed where it is deflated.
   *  @throws FormatError where checksum or length differ from the directory's */
  read(): Uint8Array;
}

/** Errors' context and bounds of `readZip`. */
export interface ReadZipOptions {
  readonly source: string;
  /** Pays for what is decompressed. */
  readonly allowance: Allowance;
}

const endBytes = 22;
const end64Bytes = 56;
const locatorBytes = 20;
const centralBytes = 46;
const localBytes = 30;
/** Deflate codes at most 258 bytes in 2 bits. */
const largestRatio = 1032;
const encryptionFlags = 0x2041;
/** Deflate's level, sizes after the data, names in UTF-8. */
const knownFlags = 0x080e;
const sizesFollowFlag = 0x0008;

/**
 * Reads a zip archive's directory (APPNOTE 6.3, zip64 included) and checks all of it against the members' own headers
 * before anything is allocated: members lie inside the archive without overlap, under different names, neither
 * encrypted nor spread over disks, stored or deflated. A member whose checksum is 0 has none: PyTorch can leave it out.
 * @throws FormatError naming the member or the offset
 */
export function readZip(bytes: Uint8Array, options: ReadZipOptions): ReadonlyMap<string, ZipEntry> {
  return new ZipReader(bytes, options).entries();
}

interface Member {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly stored: number;
  readonly size: number;
  readonly offset: number;
}

/** Where a directory lies and how many members it lists. */
interface Directory {
  readonly count: number;
  readonly start: number;
  readonly end: number;
}

class ZipReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #options: ReadZipOptions;

  constructor(bytes: Uint8Array, options: ReadZipOptions) {
    // A plain view: a Node.js Buffer's slice would share memory where a Uint8Array's copies.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#options = options;
  }

  entries(): ReadonlyMap<string, ZipEntry> {
    const directory = this.#directory();
    const members = this.#members(directory);
    const entries = new Map<string, ZipEntry>();
    let previous = "";
    let free = 0;
    for (const member of [...members].sort((a, b) => a.offset - b.offset)) {
      if (member.offset < free) throw this.#fault(`member ${quote(member.name)} overlaps ${previous}`);
      const start = this.#dataStart(member, directory.start);
      free = start + member.stored;
      previous = quote(member.name);
      const { name, size } = member;
      entries.set(name, { name, size, read: () => this.#read(member, start) });
    }
    return entries;
  }

  #directory(): Directory {
    const view = this.#view;
    const at = view.byteLength - endBytes;
    if (at < 0 || view.getUint32(at, true) !== 0x06054b50) {
      throw this.#fault("does not end with a zip's end record: it is truncated, or other bytes follow it");
    }
    const own = {
      disk: view.getUint16(at + 4, true),
      directoryDisk: view.getUint16(at + 6, true),
      here: view.getUint16(at + 8, true),
      count: view.getUint16(at + 10, true),
      size: view.getUint32(at + 12, true),
      start: view.getUint32(at + 16, true),
    };
    const wide = this.#directory64(at);
    if (wide) {
      // The narrow record says the same, or that it cannot.
      const disagrees = (["here", "count", "size", "start"] as const).some((field) => {
        const limit = field === "here" || field === "count" ? 0xffff : 0xffffffff;
        return own[field] !== limit && own[field] !== wide[field];
      });
      if (disagrees) throw this.#fault("its two end records disagree");
    }
    const { disk, directoryDisk, here, count, size, start } = wide ?? own;
    const end = wide ? at - locatorBytes - end64Bytes : at;
    if (disk !== 0 || directoryDisk !== 0 || here !== count) throw this.#fault("one of several disks");
    if (start + size !== end) {
      throw this.#fault(`a directory of ${size} bytes at offset ${start}; it must end at offset ${end}`);
    }
    if (count * centralBytes > size) {
      throw this.#fault(`a directory of ${size} bytes cannot list ${count} members`);
    }
    return { count, start, end };
  }

  #directory64(endAt: number) {
    const view = this.#view;
    const locator = endAt - locatorBytes;
    if (locator < 0 || view.getUint32(locator, true) !== 0x07064b50) return undefined;
    const at = locator - end64Bytes;
    const consistent =
      at >= 0 &&
      view.getUint32(locator + 4, true) === 0 &&
      this.#uint64(locator + 8) === at &&
      view.getUint32(locator + 16, true) <= 1 &&
      view.getUint32(at, true) === 0x06064b50 &&
      this.#uint64(at + 4) === end64Bytes - 12;
    if (!consistent) throw this.#fault("a damaged zip64 end record");
    return {
      disk: view.getUint32(at + 16, true),
      directoryDisk: view.getUint32(at + 20, true),
      here: this.#uint64(at + 24),
      count: this.#uint64(at + 32),
      size: this.#uint64(at + 40),
      start: this.#uint64(at + 48),
    };
  }

  #members(directory: Directory): Member[] {
    const members: Member[] = [];
    const names = new Set<string>();
    let at = directory.start;
    for (let index = 0; index < directory.count; index++) {
      const { member, end } = this.#member(at, directory.end);
      if (names.has(member.name)) throw this.#fault(`two members are named ${quote(member.name)}`);
      names.add(member.name);
      members.push(member);
      at = end;
    }
    if (at !== directory.end) {
      throw this.#fault(`${directory.end - at} bytes of the directory belong to no member`);
    }
    return members;
  }

  #member(at: number, limit: number): { readonly member: Member; readonly end: number } {
    const view = this.#view;
    const fits = at + centralBytes <= limit && view.getUint32(at, true) === 0x02014b50;
    const [nameLength, extraLength, commentLength] = fits
      ? ([28, 30, 32].map((field) => view.getUint16(at + field, true)) as [number, number, number])
      : [0, 0, 0];
    const extraAt = at + centralBytes + nameLength;
    const end = extraAt + extraLength + commentLength;
    if (!fits || end > limit) throw this.#fault(`a damaged directory entry at offset ${at}`);

    const nameBytes = this.#bytes.subarray(at + centralBytes, extraAt);
    const name = this.#name(nameBytes, at);
    const refuse = (problem: string) => this.#fault(`member ${quote(name)}: ${problem}`);
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    if (flags & encryptionFlags) throw refuse("encrypted");
    if (flags & ~knownFlags) throw refuse(`unknown flags 0x${flags.toString(16)}`);
    if (method !== 0 && method !== 8)
      throw refuse(`compression method ${method}; stored and deflated are read`);
    const [size, stored, offset, disk] = this.#wide(name, extraAt, extraLength, [
      view.getUint32(at + 24, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 42, true),
      view.getUint16(at + 34, true),
    ]);
    if (disk !== 0) throw refuse("on another disk");
    if (method === 0 && stored !== size) throw refuse(`stored in ${stored} bytes, but ${size} bytes long`);
    if (size > stored * largestRatio) throw refuse(`${stored} bytes cannot expand to ${size}`);
    const crc = view.getUint32(at + 16, true);
    return { member: { name, nameBytes, flags, method, crc, stored, size, offset }, end };
  }

  #name(bytes: Uint8Array, at: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (cause) {
      throw this.#fault(`the name in the directory entry at offset ${at} is not UTF-8`, cause);
    }
  }

  /** Replaces what does not fit 32 bits (the disk: 16) by the values of the zip64 extra field. */
  #wide(
    name: string,
    extraAt: number,
    extraLength: number,
    narrow: readonly [size: number, stored: number, offset: number, disk: number],
  ): readonly [size: number, stored: number, offset: number, disk: number] {
    const isWide = narrow.map((value, index) => value === (index === 3 ? 0xffff : 0xffffffff));
    if (!isWide.includes(true)) return narrow;
    const end = extraAt + extraLength;
    let field = extraAt;
    while (field + 4 <= end && this.#view.getUint16(field, true) !== 1) {
      field += 4 + this.#view.getUint16(field + 2, true);
    }
    let at = field + 4;
    const limit = at <= end ? at + this.#view.getUint16(field + 2, true) : 0;
    const widened = narrow.map((value, index) => {
      if (!isWide[index]) return value;
      const bytes = index === 3 ? 4 : 8;
      at += bytes;
      if (at > limit || at > end) throw this.#fault(`member ${quote(name)}: its zip64 sizes are missing`);
      return bytes === 8 ? this.#uint64(at - 8) : this.#view.getUint32(at - 4, true);
    });
    return widened as [number, number, number, number];
  }

  /** Checks a member's own header against the directory's entry and returns where its data start. */
  #dataStart(member: Member, limit: number): number {
    const view = this.#view;
    const { name, nameBytes, flags, method, crc, stored, size, offset: at } = member;
    const refuse = (problem: string) => this.#fault(`member ${quote(name)} at offset ${at}: ${problem}`);
    if (at + localBytes > limit || view.getUint32(at, true) !== 0x04034b50) throw refuse("no header there");
    const nameEnd = at + localBytes + view.getUint16(at + 26, true);
    const extraLength = view.getUint16(at + 28, true);
    const start = nameEnd + extraLength;
    if (start + stored > limit)
      throw refuse(`${stored} bytes of data reach beyond the members' end ${limit}`);
    const ownName = this.#bytes.subarray(at + localBytes, nameEnd);
    if (ownName.length !== nameBytes.length || ownName.some((byte, index) => byte !== nameBytes[index])) {
      throw refuse("its own header has another name");
    }
    if (view.getUint16(at + 6, true) !== flags || view.getUint16(at + 8, true) !== method) {
      throw refuse("its own header has other flags or another method");
    }
    const narrow = [view.getUint32(at + 22, true), view.getUint32(at + 18, true), 0, 0] as const;
    const ownCrc = view.getUint32(at + 14, true);
    // With sizes after the data the header has zeros.
    if (flags & sizesFollowFlag && narrow[0] === 0 && narrow[1] === 0 && ownCrc === 0) return start;
    const [ownSize, ownStored] = this.#wide(name, nameEnd, extraLength, narrow);
    if (ownSize !== size || ownStored !== stored || ownCrc !== crc) {
      throw refuse("its own header has other sizes or another checksum");
    }
    return start;
  }

  #read({ name, method, crc, stored, size }: Member, start: number): Uint8Array {
    const data = this.#bytes.subarray(start, start + stored);
    const what = `member ${quote(name)}`;
    if (method === 8) this.#options.allowance.take(size, what);
    const content = method === 8 ? inflate(data, size, `${this.#options.source}: ${what}`) : data;
    if (crc !== 0 && crc32(content) !== crc) throw this.#fault(`${what} is damaged: its checksum differs`);
    return content;
  }

  /** Exact up to 2^53; more stays more than any file has. */
  #uint64(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }

  #fault(problem: string, cause?: unknown): FormatError {
    return new FormatError(`${this.#options.source}: ${problem}`, cause === undefined ? {} : { cause });
  }
}
