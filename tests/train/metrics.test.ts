import { describe, expect, it } from "vitest";
import { DataError, OptionError, ShapeError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { run } from "../../src/runtime/run.js";
import { ConfusionMatrix } from "../../src/train/confusion-matrix.js";
import { correctCount, meanIou, topKCorrect } from "../../src/train/metrics.js";
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

describe("meanIou", () => {
  /** Scores whose largest is at the class of each pixel. */
  const scores = (predictions: readonly number[], count: number) =>
    Array.from({ length: count }, (_, label) =>
      predictions.map((found) => (found === label ? 2 : 0.5)),
    ).flat();

  it("is the mean over the classes that occur in an image, summed over the images", async () => {
    const body = ({ x, y }: { x: Tensor; y: Tensor }) => meanIou(x, y);
    const { outputs } = await run(body as (inputs: never) => Tensor, {
      x: floats([2, 4, 2, 2], [...scores([0, 0, 1, 1], 4), ...scores([3, 3, 3, 3], 4)]),
      y: { ...labels([0, 1, 1, 2, 3, 3, 3, 3]), shape: [2, 2, 2] },
    });
    // Image 1: class 0 1 of 2, class 1 1 of 3, class 2 0 of 1; image 2: class 3 alone, all found.
    expect(outputs.y!.data[0]).toBeCloseTo((1 / 2 + 1 / 3 + 0) / 3 + 1, 6);
  });

  it("is that of a confusion matrix where there is one image", async () => {
    const [predictions, targets] = [
      [0, 2, 1, 1, 0, 2],
      [0, 2, 1, 0, 0, 1],
    ];
    const matrix = new ConfusionMatrix(4);
    matrix.add(targets!, predictions!);
    const body = ({ x, y }: { x: Tensor; y: Tensor }) => meanIou(x, y);
    const { outputs } = await run(body as (inputs: never) => Tensor, {
      x: floats([1, 4, 6], scores(predictions!, 4)),
      y: { ...labels(targets!), shape: [1, 6] },
    });
    expect(outputs.y!.data[0]).toBeCloseTo(matrix.meanIou, 6);
  });

  it("refuses labels that do not fit", () => {
    expect(() => meanIou(input("x", [2, 3, 4]), input("y", [2], "int64"))).toThrow(ShapeError);
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
    expect([0, 1, 2].map((label) => matrix.iou(label))).toEqual([1 / 2, 1 / 3, 1 / 2]);
    expect(matrix.meanIou).toBeCloseTo((1 / 2 + 1 / 3 + 1 / 2) / 3, 12);
  });

  it("leaves classes that do not occur out of the mean intersection over union", () => {
    const matrix = new ConfusionMatrix(3);
    expect(matrix.meanIou).toBeNaN();
    matrix.add([0, 0], [0, 1]);
    expect(matrix.iou(2)).toBeNaN();
    expect(matrix.meanIou).toBe((1 / 2 + 0) / 2);
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
