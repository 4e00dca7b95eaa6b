import { checkNumber } from "./check.js";
import { bits, type KeyWords, keyWords, quickBits, type RandomKey, secondWord } from "./keyed-hash.js";

/** Elements that share a word of 32 bits, a byte each (the lowest first). */
const perWord = 4;

/** Words that are drawn at a time. */
const blockWords = 4096;

// Two bytes of a word lie in lanes of 16 bits, which leaves room for a carry.
const laneBytes = 0x00ff00ff;
const laneOnes = 0x00010001;
const laneCarries = 0x01000100;

/** A probability as the first 8 bits, and the others as a number below 2^32 (2^32 for the probability 1). */
interface Threshold {
  readonly byte: number;
  readonly further: number;
}

/**
 * Fills `out` with ones of the given probability (to 2^-40), and zeros: an element is 1 where its byte is less than the first bits of
 * the probability; where the two are equal, a word of its own decides by the other bits.
 * @throws OptionError for a probability outside of [0, 1]
 */
export function fillBernoulli(out: Uint8Array, key: RandomKey, probability: number): void {
  checkNumber("fillBernoulli", "probability", probability, { min: 0, max: 1 });
  const words = keyWords(key);
  const byte = Math.min(Math.floor(probability * 256), 255);
  const threshold = { byte, further: (probability * 256 - byte) * 2 ** 32 };
  const block = new Int32Array(Math.min(blockWords, Math.ceil(out.length / perWord)));
  const elements = new Uint8Array(block.buffer);
  for (let start = 0; start < out.length; start += elements.length) {
    fillWords(block, start / perWord, words, threshold);
    out.set(elements.subarray(0, out.length - start), start);
  }
}

/** Fills `out` with words of four elements, from the word of the index `first` on. */
function fillWords(out: Int32Array, first: number, words: KeyWords, threshold: Threshold): void {
  const lanes = threshold.byte * laneOnes;
  for (let i = 0; i < out.length; i++) {
    const word = quickBits(words, first + i);
    // A difference keeps its carry where the byte is not less than the threshold, and where they are equal loses it with one more.
    const even = ((word & laneBytes) | laneCarries) - lanes;
    const odd = (((word >>> 8) & laneBytes) | laneCarries) - lanes;
    const ones = ((~even >>> 8) & laneOnes) | (~odd & laneCarries);
    const isTie = (((even ^ (even - laneOnes)) | (odd ^ (odd - laneOnes))) & laneCarries) !== 0;
    out[i] = isTie ? ones | tiedOnes(word, first + i, words, threshold) : ones;
  }
}

/** The ones among those elements of a word whose byte is equal to the threshold's. */
function tiedOnes(word: number, index: number, words: KeyWords, { byte, further }: Threshold): number {
  let ones = 0;
  for (let element = 0; element < perWord; element++) {
    const shift = 8 * element;
    if (((word >>> shift) & 0xff) !== byte) continue;
    if (bits(words, perWord * index + element, secondWord) < further) ones |= 1 << shift;
  }
  return ones;
}
