import { describe, expect, it } from "vitest";
import { StripPooling } from "../../../src/attention/spatial/strip-pooling.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, tapOf } from "../images.js";

const [height, width] = [7, 9];
const x = image([1, 4, height, width]);

describe("strip pooling", () => {
  it("has a gate that depends on the means of rows and columns only", async () => {
    const module = randomize(new StripPooling({ channels: 4 }));
    // Rows and columns of the pattern sum to 0.
    const [rows, columns] = [
      [1, -2, 1, 0, 3, -3, 0],
      [2, -1, -1, 0, 0, 5, -5, 1, -1],
    ];
    const other = mapValues(
      x,
      (value, index) => value + rows[Math.floor(index / width) % height]! * columns[index % width]!,
    );
    const gate = await tapOf(module, x);
    expect(distance(gate, await tapOf(module, other))).toBeLessThan(1e-6);
    const moved = mapValues(x, (value, index) => (index === 3 ? value + 1 : value));
    expect(distance(gate, await tapOf(module, moved))).toBeGreaterThan(1e-4);
  });

  it("lets a pixel reach the gates of three rows and three columns", async () => {
    const module = randomize(new StripPooling({ channels: 4 }));
    const [row, column] = [2, 6];
    const other = mapValues(x, (value, index) =>
      index % (height * width) === row * width + column ? value + 5 : value,
    );
    const [before, after] = [await tapOf(module, x), await tapOf(module, other)];
    const reached = new Set(
      before.flatMap((gate, index) => (gate === after[index] ? [] : [index % (height * width)])),
    );
    const cross = Array.from({ length: height * width }, (_, index) => index).filter(
      (index) => Math.abs(Math.floor(index / width) - row) <= 1 || Math.abs((index % width) - column) <= 1,
    );
    expect([...reached].sort((a, b) => a - b)).toEqual(cross);
  });

  it("scales its input by the gate", async () => {
    const module = randomize(new StripPooling({ channels: 4 }));
    const { outputs, taps } = await run(module, x, { taps: ["attention"] });
    const gate = numbers(taps.attention!);
    const expected = numbers(x).map((value, index) => Math.fround(value * gate[index]!));
    expect(numbers(outputs.y!)).toEqual(expected);
  });

  it("normalizes the strips over rows and over columns apart", async () => {
    const module = new StripPooling({ channels: 4 });
    const { updates } = await run(module, image([3, 4, height, width]), { training: true });
    expect(Object.keys(updates).sort()).toEqual([
      "column.bn.runningMean",
      "column.bn.runningVar",
      "row.bn.runningMean",
      "row.bn.runningVar",
    ]);
  });
});
