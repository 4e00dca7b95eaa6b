import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import {
  fillNormal,
  fillUniform,
  permutation,
  type RandomKey,
  randomInteger,
  randomUniform,
} from "../../src/base/random.js";
import { chiSquareDeviate, correlation, moment } from "./statistics.js";

const count = 1 << 16;

function key(overrides: Partial<RandomKey> = {}): RandomKey {
  return { seed: 7, stream: "test", step: 3, ...overrides };
}

function uniforms(at: RandomKey, length = count): Float32Array {
  const out = new Float32Array(length);
  fillUniform(out, at);
  return out;
}

function normals(at: RandomKey, length = count): Float32Array {
  const out = new Float32Array(length);
  fillNormal(out, at);
  return out;
}

describe("determinism", () => {
  it("gives the same values for ever", () => {
    expect([...uniforms(key(), 4)]).toEqual([
      0.4848633408546448, 0.816261351108551, 0.08949724584817886, 0.3188134729862213,
    ]);
    expect([...normals(key(), 5)]).toEqual([
      0.48659929633140564, -1.10045325756073, -0.9206181764602661, 1.9948827028274536, -0.11929652839899063,
    ]);
    expect(randomUniform(key(), 11)).toBe(0.9370634501544798);
    expect([0, 1, 2, 3, 4, 5].map((i) => randomInteger(key(), i, 1000))).toEqual([
      484, 816, 89, 318, 967, 327,
    ]);
    expect([...permutation(10, key())]).toEqual([2, 3, 7, 5, 6, 1, 8, 0, 4, 9]);
  });

  it("depends on the index alone, not on the length filled or the order drawn", () => {
    const long = uniforms(key(), 101);
    const longNormals = normals(key(), 101);
    for (const length of [1, 2, 7, 100]) {
      expect(uniforms(key(), length)).toEqual(long.slice(0, length));
      expect(normals(key(), length)).toEqual(longNormals.slice(0, length));
    }
    const forward = Array.from({ length: 20 }, (_, i) => randomUniform(key(), i));
    const backward = Array.from({ length: 20 }, (_, i) => randomUniform(key(), 19 - i)).reverse();
    expect(backward).toEqual(forward);
  });

  it("tells keys apart by every part, the upper halves of seed and step included", () => {
    const first = (at: RandomKey) => randomUniform(at, 0);
    const draws = [
      key(),
      key({ seed: 8 }),
      key({ seed: 7 + 2 ** 32 }),
      key({ step: 4 }),
      key({ step: 3 + 2 ** 32 }),
      key({ seed: 3, step: 7 }),
      key({ stream: "tesu" }),
      key({ stream: "tset" }),
      key({ stream: "" }),
    ].map(first);
    expect(new Set(draws).size).toBe(draws.length);
  });
});

describe("uniform", () => {
  it("has the moments of a uniform distribution", () => {
    const values = uniforms(key());
    expect(Math.abs(moment(values, 1) - 1 / 2)).toBeLessThan(4 / Math.sqrt(12 * count));
    expect(Math.abs(moment(values, 2) - 1 / 3)).toBeLessThan((4 * Math.sqrt(4 / 45)) / Math.sqrt(count));
  });

  it("fills 256 bins evenly, for many keys", () => {
    for (let seed = 0; seed < 20; seed++) {
      const counts = new Uint32Array(256);
      for (const value of uniforms(key({ seed }))) counts[Math.floor(value * 256)]!++;
      expect(Math.abs(chiSquareDeviate(counts))).toBeLessThan(4);
    }
  });

  it("fills 32 x 32 bins of neighbouring indices, steps and seeds evenly", () => {
    const draws: ((i: number) => [number, number])[] = [
      (i) => [randomUniform(key(), i), randomUniform(key(), i + 1)],
      (i) => [randomUniform(key({ step: i }), 0), randomUniform(key({ step: i + 1 }), 0)],
      (i) => [randomUniform(key({ seed: i }), 0), randomUniform(key({ seed: i + 1 }), 0)],
      (i) => [randomUniform(key({ step: i }), 0), randomUniform(key({ step: i }), 1)],
    ];
    for (const draw of draws) {
      const counts = new Uint32Array(32 * 32);
      for (let i = 0; i < count; i++) {
        const [a, b] = draw(i);
        counts[Math.floor(a * 32) * 32 + Math.floor(b * 32)]!++;
      }
      expect(Math.abs(chiSquareDeviate(counts))).toBeLessThan(4);
    }
  });

  it("has uncorrelated streams, steps, seeds and neighbours", () => {
    const values = uniforms(key());
    for (const other of [key({ stream: "test2" }), key({ step: 4 }), key({ seed: 8 })]) {
      expect(Math.abs(correlation(values, uniforms(other)))).toBeLessThan(4 / Math.sqrt(count));
    }
    for (const lag of [1, 2, 3, 64]) {
      const r = correlation(values.subarray(lag), values.subarray(0, count - lag));
      expect(Math.abs(r)).toBeLessThan(4 / Math.sqrt(count - lag));
    }
  });

  it("never returns high, and stays in [low, high) as float32", () => {
    const bound = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });
    fc.assert(
      fc.property(bound, bound, fc.nat(), (a, b, seed) => {
        fc.pre(a !== b);
        const [low, high] = a < b ? [a, b] : [b, a];
        const out = new Float32Array(64);
        fillUniform(out, key({ seed }), low, high);
        expect(out.every((value) => value >= low && value < high)).toBe(true);
      }),
    );
    // One float32 lies in this interval, and most sums round up to its excluded end.
    const narrow = new Float32Array(1000);
    const above = 1 + 2 ** -23;
    fillUniform(narrow, key(), 1, above);
    expect(new Set(narrow)).toEqual(new Set([1]));
    const unit = uniforms(key(), 1 << 20);
    expect(unit.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it.each([
    [1, 1],
    [1, 0],
    [0, Number.NaN],
    [0, Number.POSITIVE_INFINITY],
    [Number.NEGATIVE_INFINITY, 0],
    [1, 1 + 2 ** -40],
    [0, 1e39],
  ])("refuses [%d, %d)", (low, high) => {
    expect(() => fillUniform(new Float32Array(1), key(), low, high)).toThrow(OptionError);
  });
});

describe("normal", () => {
  it("has the moments of a normal distribution", () => {
    const values = normals(key());
    expect(Math.abs(moment(values, 1))).toBeLessThan(4 / Math.sqrt(count));
    expect(Math.abs(moment(values, 2) - 1)).toBeLessThan((4 * Math.sqrt(2)) / Math.sqrt(count));
    expect(Math.abs(moment(values, 3))).toBeLessThan((4 * Math.sqrt(15)) / Math.sqrt(count));
    expect(Math.abs(moment(values, 4) - 3)).toBeLessThan((4 * Math.sqrt(96)) / Math.sqrt(count));
  });

  it("has the tails of a normal distribution", () => {
    const values = normals(key());
    const beyond = (limit: number) => values.filter((value) => Math.abs(value) > limit).length / count;
    expect(Math.abs(beyond(1) - 0.3173)).toBeLessThan(0.008);
    expect(Math.abs(beyond(2) - 0.0455)).toBeLessThan(0.0035);
    expect(Math.abs(beyond(3) - 0.0027)).toBeLessThan(0.0009);
  });

  it("has uncorrelated values within and between pairs, also in magnitude", () => {
    const values = normals(key());
    const squares = values.map((value) => value * value);
    for (const lag of [1, 2]) {
      for (const sequence of [values, squares]) {
        const r = correlation(sequence.subarray(lag), sequence.subarray(0, count - lag));
        expect(Math.abs(r)).toBeLessThan(4 / Math.sqrt(count - lag));
      }
    }
  });

  it("applies mean and deviation", () => {
    const out = new Float32Array(9);
    fillNormal(out, key(), 10, 0);
    expect([...out]).toEqual(Array(9).fill(10));
    const scaled = new Float32Array(9);
    fillNormal(scaled, key(), 5, 2);
    normals(key(), 9).forEach((value, i) => {
      expect(scaled[i]).toBeCloseTo(5 + 2 * value, 5);
    });
    expect(() => fillNormal(out, key(), 0, -1)).toThrow("deviation is -1");
    expect(() => fillNormal(out, key(), Number.NaN)).toThrow("mean is NaN");
  });
});

describe("integers and permutations", () => {
  it("draws integers evenly below the bound", () => {
    const counts = new Uint32Array(7);
    for (let i = 0; i < 7000; i++) counts[randomInteger(key(), i, 7)]!++;
    expect(Math.abs(chiSquareDeviate(counts))).toBeLessThan(4);
    expect(randomInteger(key(), 5, 1)).toBe(0);
    expect(randomInteger(key(), 2 ** 32 - 1, 2 ** 32)).toBeLessThan(2 ** 32);
  });

  it("permutes", () => {
    fc.assert(
      fc.property(fc.nat({ max: 500 }), fc.nat(), (length, seed) => {
        const order = permutation(length, key({ seed }));
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
      }),
    );
  });

  it("gives every permutation of four equally often", () => {
    const counts = new Map<string, number>();
    for (let step = 0; step < 24_000; step++) {
      const name = permutation(4, key({ step })).join("");
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    expect(Math.abs(chiSquareDeviate([...counts.values()]))).toBeLessThan(4);
  });

  it("refuses what is no key, index, bound or length", () => {
    expect(() => randomUniform(key({ seed: -1 }), 0)).toThrow("seed is -1");
    expect(() => randomUniform(key({ step: 0.5 }), 0)).toThrow("step is 0.5");
    expect(() => randomUniform(key(), 2 ** 32)).toThrow("index is 4294967296");
    expect(() => randomInteger(key(), 0, 0)).toThrow("bound is 0");
    expect(() => randomInteger(key(), 0, 2 ** 33)).toThrow(OptionError);
    expect(() => permutation(-1, key())).toThrow("length is -1");
    expect(() => permutation(Number.NaN, key())).toThrow("length is NaN");
  });
});
