import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { type RandomErasingOptions, randomErasing } from "../../src/data/random-erasing.js";

const shape = [3, 32, 24] as const;
const white = new Float32Array(3 * 32 * 24).fill(2);

function apply(options: RandomErasingOptions, step: number): Float32Array {
  const target = new Float32Array(white.length).fill(Number.NaN);
  randomErasing(options).apply(white, target, shape, { seed: 5, stream: "augment", step });
  return target;
}

/** Rows and columns of the elements of a plane that are no longer as they were. */
function erased(values: Float32Array, plane = 0): { rows: Set<number>; columns: Set<number>; count: number } {
  const rows = new Set<number>();
  const columns = new Set<number>();
  let count = 0;
  for (let i = 0; i < 32 * 24; i++) {
    if (values[plane * 32 * 24 + i] === 2) continue;
    rows.add(Math.floor(i / 24));
    columns.add(i % 24);
    count++;
  }
  return { rows, columns, count };
}

describe("randomErasing", () => {
  it("erases one rectangle of all channels, whose area and ratio are in range", () => {
    fc.assert(
      fc.property(fc.nat(100_000), (step) => {
        const values = apply({ probability: 1, fill: 0.5 }, step);
        const { rows, columns, count } = erased(values);
        expect(count).toBe(rows.size * columns.size);
        expect(Math.max(...rows) - Math.min(...rows)).toBe(rows.size - 1);
        expect(Math.max(...columns) - Math.min(...columns)).toBe(columns.size - 1);
        for (const plane of [1, 2]) expect(erased(values, plane).rows).toEqual(rows);
        // Sides are rounded to whole pixels.
        expect((rows.size - 0.5) * (columns.size - 0.5)).toBeLessThanOrEqual(0.4 * 768);
        expect((rows.size + 0.5) * (columns.size + 0.5)).toBeGreaterThanOrEqual(0.02 * 768);
        expect((columns.size - 0.5) / (rows.size + 0.5)).toBeLessThanOrEqual(1 / 0.3);
        expect((columns.size + 0.5) / (rows.size - 0.5)).toBeGreaterThanOrEqual(0.3);
        expect(apply({ probability: 1, fill: 0.5 }, step)).toEqual(values);
      }),
    );
  });

  it("fills with a value, or with a random one for each element", () => {
    const constant = apply({ probability: 1, fill: 0.25 }, 1);
    expect(new Set(constant)).toEqual(new Set([2, 0.25]));
    const random = apply({ probability: 1 }, 1).filter((value) => value !== 2);
    expect(random.length).toBe(constant.filter((value) => value !== 2).length);
    expect(new Set(random).size).toBeGreaterThan(0.99 * random.length);
    expect(random.every((value) => value >= 0 && value < 1)).toBe(true);
    const average = random.reduce((sum, value) => sum + value, 0) / random.length;
    expect(Math.abs(average - 0.5)).toBeLessThan(4 / Math.sqrt(12 * random.length));
  });

  it("erases with its probability", () => {
    let count = 0;
    for (let step = 0; step < 1000; step++)
      if (apply({ probability: 0.2 }, step).some((v) => v !== 2)) count++;
    expect(Math.abs(count - 200)).toBeLessThan(4 * Math.sqrt(1000 * 0.2 * 0.8));
    expect(apply({ probability: 0 }, 1)).toEqual(white);
  });

  it("leaves an image in which no rectangle fits", () => {
    const target = new Float32Array(3);
    const source = Float32Array.of(1, 2, 3);
    randomErasing({ probability: 1, ratio: [3, 3], scale: [1, 1] }).apply(source, target, [3, 1, 1], {
      seed: 1,
      stream: "augment",
      step: 0,
    });
    expect(target).toEqual(source);
  });

  it("refuses options that are none", () => {
    expect(() => randomErasing({ probability: 2 })).toThrow(OptionError);
    expect(() => randomErasing({ scale: [0, 0.5] })).toThrow("randomErasing: scale is 0");
    expect(() => randomErasing({ scale: [0.5, 0.2] })).toThrow("scale is [0.5, 0.2]");
    expect(() => randomErasing({ ratio: [1, Number.NaN] })).toThrow("ratio is NaN");
    expect(() => randomErasing({ fill: Number.NaN })).toThrow("fill is NaN");
  });
});
