import { elementCount } from "../base/dtype.js";

/**
 * Values of a state-dict entry by the formula `mulberry32-v1`: uniform numbers from a hash of the key and the seed, scaled by what the key
 * says. The same key, shape and seed give the same values in any language.
 * @param key the entry's name in the reference code
 */
export function fillValues(key: string, shape: readonly number[], seed: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(elementCount(shape));
  const scaled = scaling(key, shape);
  let state = (fnv1a(key) + Math.imul(seed, 0x9e3779b9)) >>> 0;
  for (let index = 0; index < out.length; index++) {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    out[index] = scaled(((t ^ (t >>> 14)) >>> 0) / 2 ** 32);
  }
  return out;
}

/** What becomes of a number in [0, 1). */
function scaling(key: string, shape: readonly number[]): (u: number) => number {
  if (key.endsWith("running_var")) return (u) => 0.5 + u;
  if (key.endsWith("running_mean")) return (u) => 0.2 * (2 * u - 1);
  if (shape.length <= 1) {
    const center = key.endsWith(".weight") ? 1 : 0; // weights of normalizations
    return (u) => center + 0.2 * (2 * u - 1);
  }
  const bound = Math.sqrt(3 / elementCount(shape.slice(1)));
  return (u) => bound * (2 * u - 1);
}

/** FNV-1a of a text's UTF-8 bytes, 32 bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
