import { describe, expect, it } from "vitest";
import { fillBernoulli } from "../../src/base/bernoulli.js";
import { OptionError } from "../../src/base/errors.js";
import type { RandomKey } from "../../src/base/random.js";
import { chiSquareDeviate, correlation, moment } from "./statistics.js";

const count = 1 << 18;

function key(overrides: Partial<RandomKey> = {}): RandomKey {
  return { seed: 7, stream: "test", step: 3, ...overrides };
}

function fates(at: RandomKey, probability: number, length = count): Uint8Array {
  const out = new Uint8Array(length).fill(9);
  fillBernoulli(out, at, probability);
  return out;
}

/** How many standard errors the share of ones is off. */
function deviate(values: Uint8Array, probability: number): number {
  const error = Math.sqrt((probability * (1 - probability)) / values.length);
  return (moment(values, 1) - probability) / error;
}

describe("Bernoulli draws", () => {
  it("are the same for ever", () => {
    expect(fates(key(), 0.6, 24).join("")).toBe("000001010101111111011111");
  });

  it("depend on the index alone, not on the length filled or where the array lies", () => {
    const long = fates(key(), 0.3, 40_000);
    for (const length of [0, 1, 2, 3, 4, 5, 1001, 16_384, 16_385, 32_770]) {
      expect(fates(key(), 0.3, length)).toEqual(long.slice(0, length));
    }
    const unaligned = new Uint8Array(1004).subarray(3);
    fillBernoulli(unaligned, key(), 0.3);
    expect(unaligned).toEqual(long.slice(0, 1001));
  });

  it("are nothing but zeros and ones, and all alike at the ends", () => {
    expect(new Set(fates(key(), 0.5))).toEqual(new Set([0, 1]));
    expect(new Set(fates(key(), 0))).toEqual(new Set([0]));
    expect(new Set(fates(key(), 1))).toEqual(new Set([1]));
  });

  // The first 8 bits alone would make 1 / 512 a 0, and 0.9 off by 5 standard errors.
  it.each([0.1, 0.25, 1 / 3, 0.5, 0.9, 1 / 512, 1 - 1 / 512, 254.5 / 256])("have the probability %d", (p) => {
    for (let step = 0; step < 8; step++) {
      expect(Math.abs(deviate(fates(key({ step }), p, 1 << 20), p))).toBeLessThan(4.5);
    }
  });

  it("have the probability at each of the four places of a word", () => {
    const values = fates(key(), 0.9, 4 * count);
    for (let place = 0; place < 4; place++) {
      const share = values.filter((_, index) => index % 4 === place);
      expect(Math.abs(deviate(share, 0.9))).toBeLessThan(4);
    }
  });

  it("come up in all patterns of eight neighbours equally often", () => {
    for (let seed = 0; seed < 20; seed++) {
      const values = fates(key({ seed }), 0.5);
      const counts = new Uint32Array(256);
      for (let i = 0; i < count; i += 8) {
        counts[values.subarray(i, i + 8).reduce((bits, value) => 2 * bits + value, 0)]!++;
      }
      expect(Math.abs(chiSquareDeviate(counts))).toBeLessThan(4);
    }
  });

  it.each([0.1, 0.5, 0.9])("are uncorrelated between neighbours, rows, keys and steps at %d", (p) => {
    const values = fates(key(), p);
    for (const lag of [1, 2, 3, 4, 5, 7, 8, 16, 64, 196, 1024, 38_416]) {
      const r = correlation(values.subarray(lag), values.subarray(0, count - lag));
      expect(Math.abs(r)).toBeLessThan(4 / Math.sqrt(count - lag));
    }
    const others = [key({ stream: "test2" }), key({ seed: 8 }), key({ step: 3 + 2 ** 32 })];
    for (let step = 4; step < 36; step++) others.push(key({ step }));
    for (const other of others) {
      expect(Math.abs(correlation(values, fates(other, p)))).toBeLessThan(4 / Math.sqrt(count));
    }
  });

  it("fill pairs of steps and of streams at one index evenly", () => {
    const length = 1 << 14;
    const first = (at: RandomKey) => fates(at, 0.5, 4).join("");
    for (const at of [
      (i: number) => key({ step: i }),
      (i: number) => key({ seed: i }),
      (i: number) => key({ stream: `layers.${i}.dropout` }),
    ]) {
      const counts = new Map<string, number>();
      for (let i = 0; i < length; i++) {
        const pair = first(at(i)) + first(at(i + 1));
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
      expect(counts.size).toBe(256);
      expect(Math.abs(chiSquareDeviate([...counts.values()]))).toBeLessThan(4);
    }
  });

  it.each([-0.1, 1.1, Number.NaN])("refuse the probability %d", (p) => {
    expect(() => fillBernoulli(new Uint8Array(1), key(), p)).toThrow(OptionError);
  });
});
