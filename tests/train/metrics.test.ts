import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { run } from "../../src/runtime/run.js";
import { ConfusionMatrix } from "../../src/train/confusion-matrix.js";
import { correctCount, topKCorrect } from "../../src/train/metrics.js";
import { RunningAverages } from "../../src/train/running-averages.js";
import { floats, labels } from "./helpers.js";

async function counted(rows: readonly (readonly number[])[], classes: readonly number[], k: number) {
  const body = ({ x, y }: { x: Tensor; y: Tensor }) => ({
    top: topKCorrect(x, y, k),
    first: correctCount(x, y),
  });
  const { outputs } = await run(body as (inputs: never) => Record<string, Tensor>, {
    x: floats([rows.length, rows[0]!.length], rows.flat()),
    y: labels(classes),
  });
  return { top: outputs.top!.data[0], first: outputs.first!.data[0] };
}

describe("correctCount and topKCorrect", () => {
  const rows = [
    [0.1, 0.9, 0.5, 0.2],
    [0.9, 0.1, 0.5, 0.7],
    [0.3, 0.2, 0.1, 0.4],
  ];
  it("count labels among the largest scores", async () => {
    expect(await counted(rows, [1, 3, 2], 1)).toEqual({ top: 1, first: 1 });
    expect(await counted(rows, [1, 3, 2], 2)).toEqual({ top: 2, first: 1 });
    expect(await counted(rows, [1, 3, 2], 4)).toEqual({ top: 3, first: 1 });
  });

  it("give ties to the first classes", async () => {
    const tied = [
      [1, 1, 1],
      [1, 1, 1],
      [1, 1, 1],
    ];
    expect(await counted(tied, [0, 1, 2], 2)).toEqual({ top: 2, first: 1 });
  });

  it("count neither labels that are no class nor scores that are not a number", async () => {
    expect(await counted([[1, 2, 3]], [-1], 3)).toEqual({ top: 0, first: 0 });
    expect(await counted([[Number.NaN, Number.NaN, Number.NaN]], [1], 2)).toEqual({ top: 0, first: 0 });
    expect(await counted([[Number.NEGATIVE_INFINITY, 0, 1]], [2], 1)).toEqual({ top: 1, first: 1 });
  });

  it("refuse k beyond the classes", () => {
    const [x, y] = [input("x", [2, 3]), input("y", [2], "int64")];
    expect(() => topKCorrect(x, y, 4)).toThrow(OptionError);
    expect(() => topKCorrect(x, y, 0)).toThrow(/k is 0; it must be an integer from 1 to 3/);
  });
});

describe("ConfusionMatrix", () => {
  it("counts, and derives accuracy, precision and recall", () => {
    const matrix = new ConfusionMatrix(3);
    matrix.add([0, 0, 1, 2], [0, 1, 1, 1]);
    matrix.add(BigInt64Array.of(2n), BigInt64Array.of(2n));
    expect(matrix.rows()).toEqual([
      [1, 1, 0],
      [0, 1, 0],
      [0, 1, 1],
    ]);
    expect(matrix.total).toBe(5);
    expect(matrix.accuracy).toBe(3 / 5);
    expect([0, 1, 2].map((label) => matrix.precision(label))).toEqual([1, 1 / 3, 1]);
    expect([0, 1, 2].map((label) => matrix.recall(label))).toEqual([1 / 2, 1, 1 / 2]);
  });

  it("refuses what is no class, and counts nothing then", () => {
    const matrix = new ConfusionMatrix(2);
    expect(() => matrix.add([0, 2], [0, 0])).toThrow(DataError);
    expect(() => matrix.add([0], [-1])).toThrow(/prediction -1; the classes are 0 to 1/);
    expect(() => matrix.add([0, 1], [0])).toThrow(/2 labels, but 1 predictions/);
    expect(matrix.total).toBe(0);
    expect(matrix.accuracy).toBeNaN();
    expect(() => new ConfusionMatrix(0)).toThrow(OptionError);
  });
});

it("RunningAverages weigh, and go on from their totals", () => {
  const first = new RunningAverages();
  first.add({ loss: 2, accuracy: 1 }, 3);
  const second = new RunningAverages(first.totals());
  second.add({ loss: 4, accuracy: 0 }, 1);
  expect(second.averages()).toEqual({ loss: 2.5, accuracy: 0.75 });
  expect(second.weight).toBe(4);
  second.addSums({ loss: 0, accuracy: 4 }, 4);
  expect(second.averages()).toEqual({ loss: 1.25, accuracy: 7 / 8 });
  expect(first.averages()).toEqual({ loss: 2, accuracy: 1 });
});
