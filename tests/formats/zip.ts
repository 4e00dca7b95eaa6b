import { deflateRawSync } from "node:zlib";
import { crc32 } from "../../src/base/crc32.js";

export interface ZipMember {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflate?: boolean;
}

/** A zip archive and where its parts are, for tests that make them lie. */
export interface ZipParts {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Offsets of the members' headers, of their data, of their directory entries, and of the end record. */
  readonly local: readonly number[];
  readonly data: readonly number[];
  readonly central: readonly number[];
  readonly end: number;
}

/** Writes a zip archive; with `zip64` all sizes and offsets are in the wide fields. */
export function zipFile(members: readonly ZipMember[], options: { zip64?: boolean } = {}): ZipParts {
  const wide = options.zip64 === true;
  const out: number[] = [];
  const number = (bytes: number, value: number) => {
    for (let i = 0; i < bytes; i++) out.push(Math.floor(value / 2 ** (8 * i)) % 256);
  };
  const append = (bytes: Uint8Array) => {
    for (const byte of bytes) out.push(byte);
  };
  const [local, data, central]: [number[], number[], number[]] = [[], [], []];
  const packed = members.map((member) => (member.deflate ? deflateRawSync(member.data) : member.data));
  const names = members.map(({ name }) => new TextEncoder().encode(name));

  /** The fields from the flags to the name's length. */
  const common = (index: number) => {
    const member = members[index]!;
    number(2, 0x0800);
    number(2, member.deflate ? 8 : 0);
    number(4, 0);
    number(4, crc32(member.data));
    number(4, wide ? 0xffffffff : packed[index]!.length);
    number(4, wide ? 0xffffffff : member.data.length);
    number(2, names[index]!.length);
  };
  members.forEach((member, index) => {
    local.push(out.length);
    number(4, 0x04034b50);
    number(2, 45);
    common(index);
    number(2, wide ? 20 : 0);
    append(names[index]!);
    if (wide)
      for (const [bytes, value] of [
        [2, 1],
        [2, 16],
        [8, member.data.length],
        [8, packed[index]!.length],
      ])
        number(bytes!, value!);
    data.push(out.length);
    append(packed[index]!);
  });
  const start = out.length;
  members.forEach((member, index) => {
    central.push(out.length);
    number(4, 0x02014b50);
    number(4, 45);
    common(index);
    number(2, wide ? 28 : 0);
    number(2, 0);
    number(2, 0);
    number(6, 0);
    number(4, wide ? 0xffffffff : local[index]!);
    append(names[index]!);
    if (wide) {
      const fields = [
        [2, 1],
        [2, 24],
        [8, member.data.length],
        [8, packed[index]!.length],
        [8, local[index]!],
      ];
      for (const [bytes, value] of fields) number(bytes!, value!);
    }
  });
  const size = out.length - start;
  const count = members.length;
  if (wide) {
    const at = out.length;
    const record = [
      [4, 0x06064b50],
      [8, 44],
      [2, 45],
      [2, 45],
      [4, 0],
      [4, 0],
      [8, count],
      [8, count],
      [8, size],
      [8, start],
    ];
    const locator = [
      [4, 0x07064b50],
      [4, 0],
      [8, at],
      [4, 1],
    ];
    for (const [bytes, value] of [...record, ...locator]) number(bytes!, value!);
  }
  const end = out.length;
  number(4, 0x06054b50);
  number(4, 0);
  number(2, wide ? 0xffff : count);
  number(2, wide ? 0xffff : count);
  number(4, wide ? 0xffffffff : size);
  number(4, wide ? 0xffffffff : start);
  number(2, 0);
  const bytes = Uint8Array.from(out);
  return { bytes, view: new DataView(bytes.buffer), local, data, central, end };
}
