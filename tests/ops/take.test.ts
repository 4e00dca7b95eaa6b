import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import { gradients, mul, sum, take } from "../../src/ops/index.js";
import { evaluate, floats, numbers } from "./evaluate.js";

describe("take", () => {
  const x = floats([2, 3, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

  it("has the entries that are named, and the fill where there is none", async () => {
    const { y, z } = (await evaluate([x], (leaf) => ({
      y: take(leaf, { axis: 1, indices: [2, -1, 0, 2] }),
      z: take(leaf, { axis: -1, indices: [1, -1], fill: -7 }),
    }))) as Record<"y" | "z", ReturnType<typeof floats>>;
    expect(y.shape).toEqual([2, 4, 2]);
    expect(numbers(y)).toEqual([4, 5, 0, 0, 0, 1, 4, 5, 10, 11, 0, 0, 6, 7, 10, 11]);
    expect(numbers(z)).toEqual([1, -7, 3, -7, 5, -7, 7, -7, 9, -7, 11, -7]);
  });

  it("gives each entry the gradients of all its copies", async () => {
    const weights = floats([2, 4, 2], [1, 2, 3, 4, 5, 6, 7, 8, 10, 20, 30, 40, 50, 60, 70, 80]);
    const { dx } = (await evaluate([x, weights], (leaf, w) => {
      const loss = sum(mul(take(leaf, { axis: 1, indices: [2, -1, 0, 2] }), w), { keepDims: false });
      return { dx: gradients(loss, [leaf])[0]! };
    })) as Record<"dx", ReturnType<typeof floats>>;
    expect(numbers(dx)).toEqual([5, 6, 0, 0, 8, 10, 50, 60, 0, 0, 80, 100]);
  });

  it("has the gradient 0 where nothing is taken", async () => {
    const { dx } = (await evaluate([x], (leaf) => {
      const loss = sum(take(leaf, { axis: 1, indices: [-1] }), { keepDims: false });
      return { dx: gradients(loss, [leaf])[0]! };
    })) as Record<"dx", ReturnType<typeof floats>>;
    expect(numbers(dx)).toEqual(Array(12).fill(0));
  });

  it.each([[[]], [[3]], [[-2]], [[0.5]]])("refuses the indices %j", (indices) => {
    const leaf = input("x", [2, 3, 2]);
    expect(() => take(leaf, { axis: 1, indices })).toThrow(ShapeError);
    expect(() => take(leaf, { axis: 1, indices })).toThrow("indices must be integers from -1 to 2");
  });
});
