import { checkInteger, checkNumber } from "./check.js";
import { OptionError } from "./errors.js";
import { bits, type KeyWords, keyWords, type RandomKey, secondWord } from "./keyed-hash.js";

export type { RandomKey } from "./keyed-hash.js";

/** Fills `out` with float32 values, uniform over [low, high), both rounded to float32; `high` is never returned.
 *  @throws OptionError where [low, high) holds no float32 */
export function fillUniform(out: Float32Array, key: RandomKey, low = 0, high = 1): void {
  const first = Math.fround(low);
  const end = Math.fround(high);
  if (!(first < end) || !Number.isFinite(first) || !Number.isFinite(end)) {
    throw new OptionError(`fillUniform: [low, high) is [${low}, ${high}); it must be finite and not empty`);
  }
  const last = largestBelow(end);
  const words = keyWords(key);
  const width = (high - low) / 2 ** 32;
  for (let i = 0; i < out.length; i++) {
    const value = Math.fround(low + bits(words, i) * width);
    out[i] = Math.min(Math.max(value, first), last);
  }
}

/** Fills `out` with normally distributed float32 values, within 6.8 deviations (Box and Muller 1958).
 *  @throws OptionError where mean or deviation is not finite, or the deviation negative */
export function fillNormal(out: Float32Array, key: RandomKey, mean = 0, deviation = 1): void {
  checkNumber("fillNormal", "mean", mean);
  checkNumber("fillNormal", "deviation", deviation, { min: 0 });
  const words = keyWords(key);
  // Each pair of indices shares a radius and an angle, drawn at the pair's own two indices.
  for (let i = 0; i < out.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log((bits(words, i) + 0.5) / 2 ** 32));
    const angle = 2 * Math.PI * (bits(words, i + 1) / 2 ** 32);
    out[i] = mean + radius * Math.cos(angle);
    if (i + 1 < out.length) out[i + 1] = mean + radius * Math.sin(angle);
  }
}

/** The double at `index` of the key's sequence, uniform over [0, 1) in steps of 2^-53. */
export function randomUniform(key: RandomKey, index: number): number {
  checkInteger("random numbers", "index", index, { max: maximumIndex });
  return uniform53(keyWords(key), index);
}

/** The integer at `index` of the key's sequence, uniform over 0 ... bound - 1; `bound` is at most 2^32. */
export function randomInteger(key: RandomKey, index: number, bound: number): number {
  checkInteger("randomInteger", "bound", bound, { min: 1, max: 2 ** 32 });
  return Math.floor(randomUniform(key, index) * bound);
}

/** The numbers 0 ... length - 1 in random order (Fisher and Yates). */
export function permutation(length: number, key: RandomKey): Uint32Array<ArrayBuffer> {
  checkInteger("permutation", "length", length, { max: 2 ** 32 - 1 });
  const order = new Uint32Array(length);
  for (let i = 0; i < length; i++) order[i] = i;
  const words = keyWords(key);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(uniform53(words, i) * (i + 1));
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

const maximumIndex = 2 ** 32 - 1;

function uniform53(words: KeyWords, index: number): number {
  return ((bits(words, index) >>> 5) * 2 ** 26 + (bits(words, index, secondWord) >>> 6)) / 2 ** 53;
}

/** The float32 next below a finite float32. */
function largestBelow(value: number): number {
  const float = new Float32Array([value]);
  const word = new Int32Array(float.buffer);
  if (value === 0) word[0] = 0x80000001 | 0;
  else word[0] = word[0]! + (value > 0 ? -1 : 1);
  return float[0]!;
}
