import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { constant } from "../../src/graph/constant.js";
import { gradients } from "../../src/ops/gradients.js";
import { reflectPad } from "../../src/ops/reflect-pad.js";
import { evaluate, numbers } from "./evaluate.js";

const line = { dtype: "float32", shape: [1, 1, 4], data: Float32Array.of(1, 2, 3, 4) } as const;
const image = { dtype: "float32", shape: [1, 1, 2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) } as const;

describe("reflectPad", () => {
  it("mirrors an axis without its first and last element", async () => {
    const { y } = await evaluate([line], (x) => ({ y: reflectPad(x!, { padding: [3, 1] }) }));
    expect(numbers(y!)).toEqual([4, 3, 2, 1, 2, 3, 4, 3]);
  });

  it("mirrors the axes of an image one after the other", async () => {
    const { y } = await evaluate([image], (x) => ({ y: reflectPad(x!, { padding: [1, 0, 0, 2] }) }));
    expect(y!.shape).toEqual([1, 1, 3, 5]);
    expect(numbers(y!)).toEqual([4, 5, 6, 5, 4, 1, 2, 3, 2, 1, 4, 5, 6, 5, 4]);
  });

  it("adds up the gradients of an element and its images", async () => {
    const cotangent = constant([1, 2, 4, 8, 16, 32], { shape: [1, 1, 6] });
    const { dx } = await evaluate([line], (x) => ({
      dx: gradients(reflectPad(x!, { padding: 1 }), [x!], { cotangent })[0]!,
    }));
    expect(numbers(dx!)).toEqual([2, 5, 40, 16]);
  });

  it("refuses padding that is not smaller than its axis", () => {
    expect(() => reflectPad(constant([1, 2], { shape: [1, 1, 2] }), { padding: 2 })).toThrow(ShapeError);
    expect(() => reflectPad(constant([1, 2]), { padding: 1 })).toThrow(ShapeError);
  });
});
