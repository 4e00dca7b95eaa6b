import { checkInteger } from "./check.js";

/**
 * Names a sequence of random numbers. There is no generator and no state: the value at index i depends on
 * (seed, stream, step, i) alone, so that draws can be made in any order, anywhere, and again.
 */
export interface RandomKey {
  /** The run's seed, an integer of at least 0. */
  readonly seed: number;
  /** What the numbers are for, such as "dropout". */
  readonly stream: string;
  /** The point in time they are for: a training step, an epoch, a sample's position. An integer of at least 0. */
  readonly step: number;
}

/** 64 bits of a key, as two unsigned words. */
export interface KeyWords {
  readonly a: number;
  readonly b: number;
}

/** FNV-1a of the stream's code units under two multipliers, then seed and step mixed in word by word. */
export function keyWords({ seed, stream, step }: RandomKey): KeyWords {
  checkInteger("random key", "seed", seed);
  checkInteger("random key", "step", step);
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < stream.length; i++) {
    const unit = stream.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = mix(b + unit);
  }
  for (const word of [seed, Math.floor(seed / 2 ** 32), step, Math.floor(step / 2 ** 32)]) {
    a = mix(a ^ word);
    b = mix(b + (word | 0));
  }
  return { a, b };
}

/** 32 uniform bits at an index; `word` tells further words of one index apart. */
export function bits({ a, b }: KeyWords, index: number, word = 0): number {
  return mix(mix(mix(index ^ a) + b) ^ word) >>> 0;
}

/** Asks `bits` for a second word of an index. */
export const secondWord = 0x85ebca6b;

/** 32 uniform bits at an index in a third of the time of `bits`: one round, in whose midst the second half of the key enters. */
export function quickBits({ a, b }: KeyWords, index: number): number {
  return mix(index ^ a, b);
}

/** Bijective hash of 32 bits with nearly no bias: "triple32" of Chris Wellons' hash-prospector (public domain). */
function mix(x: number, within = 0): number {
  x = Math.imul(x ^ (x >>> 17), 0xed5ad4bb);
  x = Math.imul((x ^ (x >>> 11)) + within, 0xac4c1b51);
  x = Math.imul(x ^ (x >>> 15), 0x31848bab);
  return x ^ (x >>> 14);
}
