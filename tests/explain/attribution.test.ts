import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explain } from "../../src/explain/explain.js";
import { run } from "../../src/runtime/run.js";
import { imageOf, LinearClassifier, TanhClassifier } from "./networks.js";

const weights = [
  [1, -2, 3, -4, 5, -6, 7, -8],
  [0.5, 0, 0, 0, 0, 0, 0, -1],
];
const image = imageOf([2, 2, 2], (at) => at + 1);

describe("integrated gradients", () => {
  it("are weight times way for a linear network", async () => {
    const baseline = imageOf([2, 2, 2], () => 0.5);
    const model = new LinearClassifier(weights, [10, 20]);
    const found = await explain(model, image, {
      method: "integrated-gradients",
      baseline,
      steps: 3,
      batchSize: 2,
      classes: [0, 1],
    });
    for (const [label, map] of found.maps.entries()) {
      const expected = weights[label]!.map((weight, at) => weight * (at + 1 - 0.5));
      for (const [at, value] of expected.entries()) expect(map.values.data[at]).toBeCloseTo(value, 4);
      expect(map.values.shape).toEqual([2, 2, 2]);
      const [view] = map.views;
      expect(view).toMatchObject({ form: "heat", signed: true, heat: { shape: [2, 2] } });
      const plane = view!.form === "heat" ? view!.heat.data : new Float32Array(0);
      for (const [at, value] of plane.entries())
        expect(value).toBeCloseTo(expected[at]! + expected[at + 4]!, 4);
      expect(found.missing![label]).toBeCloseTo(0, 4);
    }
    expect(found.logits).toEqual(Float32Array.of(10 + 1 - 4 + 9 - 16 + 25 - 36 + 49 - 64, 20 + 0.5 - 8));
    expect(found.prediction).toBe(1);
  });

  it("add up to the difference of the score", async () => {
    const model = new TanhClassifier();
    const values = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 18, maxLength: 18 });
    await fc.assert(
      fc.asyncProperty(values, fc.constantFrom("logit", "probability"), async (list, score) => {
        const x = imageOf([2, 3, 3], (at) => list[at]!);
        const found = await explain(model, x, {
          method: "integrated-gradients",
          steps: 128,
          batchSize: 65,
          classes: [2],
          score,
        });
        const ends = { ...x, shape: [2, 2, 3, 3], data: Float32Array.of(...x.data, ...new Float32Array(18)) };
        const logits = (await run(model, ends)).outputs.y!.data as Float32Array;
        const scoreAt = (row: Float32Array) =>
          score === "logit"
            ? row[2]!
            : Math.exp(row[2]!) / row.reduce((sum, value) => sum + Math.exp(value), 0);
        const total = found.maps[0]!.values.data.reduce((sum, value) => sum + value, 0);
        const difference = scoreAt(logits.slice(0, 3)) - scoreAt(logits.slice(3));
        expect(Math.abs(total - difference)).toBeLessThan(2e-3);
        expect(found.missing![0]).toBeCloseTo(total - difference, 4);
      }),
      { numRuns: 8 },
    );
  });
});

describe("occlusion", () => {
  it("is weight times way over each window of a linear network", async () => {
    const model = new LinearClassifier(weights);
    const options = { method: "occlusion", baseline: 0.5, classes: [0] } as const;
    const single = await explain(model, image, { ...options, window: [1, 1], stride: [1, 1], batchSize: 3 });
    const loss = weights[0]!.map((weight, at) => weight * (at + 1 - 0.5));
    const pixels = [0, 1, 2, 3].map((at) => loss[at]! + loss[at + 4]!);
    for (const [at, value] of pixels.entries()) expect(single.maps[0]!.values.data[at]).toBeCloseTo(value, 4);
    const rows = await explain(model, image, { ...options, window: [1, 2], stride: [1, 1] });
    const ofRows = [pixels[0]! + pixels[1]!, pixels[2]! + pixels[3]!];
    for (const [at, value] of [0, 0, 1, 1].entries()) {
      expect(rows.maps[0]!.values.data[at]).toBeCloseTo(ofRows[value]!, 4);
    }
    expect(rows.maps[0]!.views[0]).toMatchObject({ signed: true, overImage: true });
  });

  it("averages windows that overlap, the last of which ends at the border", async () => {
    const line = imageOf([1, 1, 4], () => 1);
    const model = new LinearClassifier([
      [1, 2, 4, 8],
      [0, 0, 0, 0],
    ]);
    const found = await explain(model, line, { method: "occlusion", window: [1, 3], stride: [1, 2] });
    // Windows 0..2 and 1..3 lose 7 and 14.
    expect([...found.maps[0]!.values.data]).toEqual([7, 10.5, 10.5, 14]);
  });

  it("refuses windows that do not fit or leave pixels out", async () => {
    const model = new LinearClassifier(weights);
    const run = (options: object) => explain(model, image, { method: "occlusion", ...options });
    await expect(run({ window: [3, 1] })).rejects.toThrow(/window is 3; it must be an integer from 1 to 2/);
    await expect(run({ window: [1, 1], stride: [1, 2] })).rejects.toThrow(/stride is 2/);
    await expect(run({ baseline: Number.NaN })).rejects.toThrow(/baseline is NaN/);
    await expect(run({ baseline: imageOf([1, 2, 2], () => 0) })).rejects.toThrow(
      /baseline must be float32 \[2, 2, 2\]/,
    );
  });
});
