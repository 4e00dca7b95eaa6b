/** A generator of 32-bit numbers (mulberry32). */
export function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** One to four changes: bytes, bits, large numbers, cuts, repetitions, parts moved. */
export function mutate(file: Uint8Array, next: (below: number) => number): Uint8Array {
  let bytes = new Uint8Array(file);
  for (let change = next(4); change >= 0; change--) {
    const at = next(bytes.length);
    const length = 1 + next(Math.min(32, bytes.length - at));
    const part = bytes.slice(at, at + length);
    switch (next(7)) {
      case 0:
        bytes[at] = next(256);
        break;
      case 1:
        bytes[at]! ^= 1 << next(8);
        break;
      case 2:
        bytes.fill([0, 0xff, 0x7f, 0x28][next(4)]!, at, at + [1, 2, 4, 8][next(4)]!);
        break;
      case 3:
        bytes = joined(bytes.subarray(0, at), bytes.subarray(at + length));
        break;
      case 4:
        bytes = joined(bytes.subarray(0, at), part, bytes.subarray(at));
        break;
      case 5:
        bytes.set(part, next(bytes.length - length + 1));
        break;
      default:
        bytes[at] = bytes[at]! + (next(2) === 0 ? 1 : -1);
    }
    if (bytes.length === 0) return file;
  }
  return bytes;
}

/** Memory of its own, so that views into it can be told from copies. */
function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}
