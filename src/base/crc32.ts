/** Row k: the effect of a byte that k further bytes follow. */
const rows = 8;
const table = new Uint32Array(rows * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  table[byte] = crc;
}
for (let i = 256; i < table.length; i++) {
  const before = table[i - 256]!;
  table[i] = table[before & 0xff]! ^ (before >>> 8);
}

/** The CRC-32 of ISO 3309, as in zip and PNG; eight bytes a step (Kounavis and Berry, "slicing-by-8"). */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  let at = 0;
  for (const end = bytes.length - rows + 1; at < end; at += rows) {
    crc =
      table[0x700 | ((crc ^ bytes[at]!) & 0xff)]! ^
      table[0x600 | (((crc >>> 8) ^ bytes[at + 1]!) & 0xff)]! ^
      table[0x500 | (((crc >>> 16) ^ bytes[at + 2]!) & 0xff)]! ^
      table[0x400 | ((crc >>> 24) ^ bytes[at + 3]!)]! ^
      table[0x300 | bytes[at + 4]!]! ^
      table[0x200 | bytes[at + 5]!]! ^
      table[0x100 | bytes[at + 6]!]! ^
      table[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = table[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
