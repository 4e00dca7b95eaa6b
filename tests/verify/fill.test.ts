import { describe, expect, it } from "vitest";
import { fillValues } from "../../src/verify/fill.js";

/** Published vectors of the formula mulberry32-v1: first values, and the sum of all in double. */
const vectors = [
  [
    "conv1.weight",
    [64, 3, 7, 7],
    1000,
    [0.096429497, 0.0264475737, 0.054072205, -0.0103378389],
    -10.804296616530337,
  ],
  ["bn1.weight", [64], 1000, [1.1586407423, 1.0085831881, 0.967821002, 0.8200947642], 62.717308819293976],
  ["bn1.running_var", [64], 1000, [0.7043320537, 0.961220324, 1.002527833, 0.9103124738], 63.711172342300415],
  [
    "bn1.running_mean",
    [64],
    7,
    [0.1510024518, -0.1873558164, -0.1231363043, 0.153816998],
    -0.3390214398968965,
  ],
  [
    "pos_embed",
    [1, 5, 192],
    1010,
    [0.0177360065, 0.0162538011, 0.0305912141, -0.0313995105],
    -1.6631575420360605,
  ],
] as const;

describe("fillValues", () => {
  it.each(vectors)("fills %s %j with seed %i", (key, shape, seed, first, sum) => {
    const values = fillValues(key, shape, seed);
    for (const [index, value] of first.entries()) expect(values[index]).toBeCloseTo(value, 9);
    expect(values.reduce((total, value) => total + value, 0)).toBe(sum);
  });

  it("tells biases from the weights of normalizations, and kernels from both", () => {
    expect(Math.max(...fillValues("fc.bias", [500], 1).map(Math.abs))).toBeLessThanOrEqual(0.2);
    expect(Math.min(...fillValues("bn.weight", [500], 1))).toBeGreaterThanOrEqual(0.8);
    const kernel = fillValues("fc.weight", [50, 12], 1);
    expect(Math.max(...kernel.map(Math.abs))).toBeLessThanOrEqual(0.5);
    expect(Math.max(...kernel)).toBeGreaterThan(0.45);
  });
});
