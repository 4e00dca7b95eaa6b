import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blur } from "../../src/explain/blur.js";
import { faithfulness } from "../../src/explain/faithfulness.js";
import { imageOf, LinearClassifier } from "./networks.js";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

describe("faithfulness", () => {
  it("follows the probability pixel by pixel", async () => {
    // The score of class 0 over class 1 is 2 of pixel 0 and 1 of pixel 1.
    const model = new LinearClassifier([
      [2, 1],
      [0, 0],
    ]);
    const image = imageOf([1, 1, 2], () => 1);
    const heat = { data: Float32Array.of(5, 1), shape: [1, 2] };
    const found = await faithfulness(model, image, heat, { steps: 2, start: 0 });
    const [none, one, both] = [sigmoid(0), sigmoid(2), sigmoid(3)];
    const near = (values: Float32Array, expected: number[]) => {
      for (const [at, value] of expected.entries()) expect(values[at]).toBeCloseTo(value, 5);
    };
    expect(found.class).toBe(0);
    near(found.insertion.scores, [none, one, both]);
    near(found.deletion.scores, [both, sigmoid(1), none]);
    expect(found.insertion.area).toBeCloseTo((none / 2 + one + both / 2) / 2, 5);
    expect(found.deletion.area).toBeCloseTo((both / 2 + sigmoid(1) + none / 2) / 2, 5);
  });

  it("is better for the true map than for any other order", async () => {
    const truth = [3, -1, 2, 0.5, -2, 1, 0, 4, -3];
    const model = new LinearClassifier([truth, truth.map(() => 0)]);
    const image = imageOf([1, 3, 3], () => 1);
    const score = (data: Float32Array) =>
      faithfulness(model, image, { data, shape: [3, 3] }, { steps: 9, start: 0, class: 0, batchSize: 10 });
    const best = await score(Float32Array.from(truth));
    const order = fc.shuffledSubarray([...truth.keys()], { minLength: 9, maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(order, async (ranks) => {
        const other = await score(Float32Array.from(ranks));
        expect(other.insertion.area).toBeLessThanOrEqual(best.insertion.area + 1e-6);
        expect(other.deletion.area).toBeGreaterThanOrEqual(best.deletion.area - 1e-6);
      }),
      { numRuns: 10 },
    );
    const worst = await score(Float32Array.from(truth, (value) => -value));
    expect(best.insertion.area - worst.insertion.area).toBeGreaterThan(0.2);
  });

  it("resizes the map and refuses what does not fit", async () => {
    const model = new LinearClassifier([Array(16).fill(1), Array(16).fill(0)]);
    const image = imageOf([1, 4, 4], () => 0.1);
    const small = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
    const { insertion } = await faithfulness(model, image, small, { steps: 4 });
    expect(insertion.scores).toHaveLength(5);
    await expect(faithfulness(model, image, small, { steps: 17 })).rejects.toThrow(/steps is 17/);
    await expect(faithfulness(model, image, small, { class: 2 })).rejects.toThrow(/class is 2/);
    const wrong = { data: new Float32Array(3), shape: [2, 2] };
    await expect(faithfulness(model, image, wrong)).rejects.toThrow(/\[2, 2\] with 3 values/);
    const unknown = { data: new Float32Array(4).fill(Number.NaN), shape: [2, 2] };
    await expect(faithfulness(model, image, unknown)).rejects.toThrow(/no numbers/);
  });
});

describe("blur", () => {
  it("keeps constants and the sum of what is far from the border, plane by plane", () => {
    const flat = blur(new Float32Array(2 * 5 * 7).fill(3), [2, 5, 7], 1.5);
    for (const value of flat) expect(value).toBeCloseTo(3, 5);
    const point = new Float32Array(21 * 21);
    point[10 * 21 + 10] = 1;
    const spread = blur(point, [1, 21, 21], 1.5);
    expect(spread.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
    // The peak of a Gaussian of this deviation is 1 / (2 pi s^2).
    expect(spread[10 * 21 + 10]).toBeCloseTo(1 / (2 * Math.PI * 1.5 ** 2), 3);
    expect(spread[10 * 21 + 8]).toBeCloseTo(spread[8 * 21 + 10]!, 6);
  });
});
