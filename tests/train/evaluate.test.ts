import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import { Loader } from "../../src/data/loader.js";
import { initialize } from "../../src/graph/model.js";
import { run } from "../../src/runtime/run.js";
import { evaluate } from "../../src/train/evaluate.js";
import { crossEntropy, meanSquaredError } from "../../src/train/losses.js";
import { topKCorrect } from "../../src/train/metrics.js";
import { labels, patterns, regressionBatch, SmallClassifier, TwoLayers } from "./helpers.js";

describe("evaluate", () => {
  it("counts every sample once, whatever the batch size", async () => {
    const model = new SmallClassifier();
    initialize(model, { seed: 1 });
    const data = patterns(37);
    const results = await Promise.all(
      [1, 10, 37, 64].map((batchSize) =>
        evaluate({
          model,
          loss: crossEntropy,
          metrics: { accuracy: (y, t) => topKCorrect(y, t, 1), top2: (y, t) => topKCorrect(y, t, 2) },
          data: new Loader(data, { batchSize }),
        }),
      ),
    );
    const x = await new Loader(data, { batchSize: 37, shuffle: false }).batch(0);
    const { outputs } = await run(model, { dtype: "float32", shape: [37, 3, 2, 2], data: x.x });
    const logits = outputs.y!.data as Float32Array;
    const rank = (sample: number) => {
      const scores = [...logits.slice(sample * 3, sample * 3 + 3)];
      return scores.filter((score) => score > scores[data.label(sample)]!).length;
    };
    const ranks = Array.from({ length: 37 }, (_, sample) => rank(sample));
    for (const { samples, loss, metrics, confusion } of results) {
      expect(samples).toBe(37);
      expect(metrics.accuracy).toBe(ranks.filter((r) => r < 1).length / 37);
      expect(metrics.top2).toBe(ranks.filter((r) => r < 2).length / 37);
      expect(confusion!.accuracy).toBe(metrics.accuracy);
      expect(confusion!.total).toBe(37);
      expect(loss).toBeCloseTo(results[0]!.loss, 5);
    }
  });

  it("evaluates regressions, without confusion and metrics", async () => {
    const model = new TwoLayers(3, 4, 1);
    const data = { batches: () => [regressionBatch(4, 3, 0), regressionBatch(2, 3, 1)] };
    const { samples, metrics, confusion } = await evaluate({ model, loss: meanSquaredError, data });
    expect({ samples, metrics, confusion }).toEqual({ samples: 6, metrics: {}, confusion: undefined });
  });

  it("refuses empty data, labels that are no class, batches without pairs, and two losses", async () => {
    const model = new TwoLayers(3, 4, 2);
    const of = (...batches: Parameters<typeof Array.of>) =>
      evaluate({ model, loss: crossEntropy, data: { batches: () => batches as never } });
    const { x } = regressionBatch(2, 3);
    await expect(of()).rejects.toThrow(DataError);
    await expect(of({ x, y: labels([0, 2]) })).rejects.toThrow(/is 2; the model's classes are 0 to 1/);
    await expect(of({ x, y: labels([0, 1, 1]) })).rejects.toThrow(/labels \[N, \.\.\.\]/);
    await expect(of({ images: x, y: labels([0, 1]) })).rejects.toThrow(/holds x and y; found images, y/);
    const both = { model, loss: crossEntropy, objective: () => ({}), data: { batches: () => [] } };
    await expect(evaluate(both as never)).rejects.toThrow(OptionError);
  });
});
