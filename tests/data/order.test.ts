import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { SampleOrder } from "../../src/data/order.js";

function take(order: SampleOrder, start: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => order.sample(start + i));
}

describe("SampleOrder", () => {
  it("has every sample once in each epoch, in another order", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(), (length, seed) => {
        const order = new SampleOrder(length, { seed, shuffle: true });
        for (let epoch = 0; epoch < 4; epoch++) {
          const samples = take(order, epoch * length, length);
          expect(samples.sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
        }
      }),
    );
    const order = new SampleOrder(100, { seed: 1, shuffle: true });
    expect(take(order, 0, 100)).not.toEqual(take(order, 100, 100));
    expect(take(order, 0, 100)).not.toEqual(take(new SampleOrder(100, { seed: 2, shuffle: true }), 0, 100));
  });

  it("gives a position its sample whatever was asked before", () => {
    const length = 13;
    const expected = take(new SampleOrder(length, { seed: 5, shuffle: true }), 0, 10 * length);
    const order = new SampleOrder(length, { seed: 5, shuffle: true });
    fc.assert(
      fc.property(fc.nat({ max: 10 * length - 1 }), (position) => {
        expect(order.sample(position)).toBe(expected[position]);
      }),
    );
  });

  it("keeps the data set's order where it does not shuffle", () => {
    const order = new SampleOrder(3, { seed: 0, shuffle: false });
    expect(take(order, 0, 8)).toEqual([0, 1, 2, 0, 1, 2, 0, 1]);
    expect([0, 2, 3, 8].map((position) => order.epoch(position))).toEqual([0, 0, 1, 2]);
  });

  it("refuses an empty data set and a seed that is none", () => {
    expect(() => new SampleOrder(0, { seed: 0, shuffle: true })).toThrow("length is 0");
    expect(() => new SampleOrder(3, { seed: 1.5, shuffle: true })).toThrow(OptionError);
  });
});
