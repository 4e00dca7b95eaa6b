import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { input } from "../../src/graph/leaf.js";
import { batch } from "../../src/graph/size.js";
import { gradients } from "../../src/ops/gradients.js";
import { interpolate } from "../../src/ops/index.js";
import { evaluate, floats, numbers, relativeError } from "./evaluate.js";

const fixture = readSafetensors(
  readFileSync(new URL("../fixtures/pytorch/operators.safetensors", import.meta.url)),
);

function stored(name: string) {
  return toHostTensor(fixture.tensors.get(name)!, name);
}

describe("interpolate", () => {
  it.each([
    ["interpolateUp", false],
    ["interpolateDown", false],
    ["interpolateUpAligned", true],
    ["interpolateDownAligned", true],
  ])("has the values and gradients of PyTorch: %s", async (name, alignCorners) => {
    const [x, cotangent] = [stored(`${name}.input.0`), stored(`${name}.cotangent`)];
    const { y, dx } = await evaluate([x, cotangent], (leaf, dy) => {
      const y = interpolate(leaf, { size: cotangent.shape.slice(2), mode: "linear", alignCorners });
      return { y, dx: gradients(y, [leaf], { cotangent: dy })[0]! };
    });
    expect(relativeError(y!, stored(`${name}.output`))).toBeLessThan(1e-6);
    expect(relativeError(dx!, stored(`${name}.gradInput.0`))).toBeLessThan(1e-6);
  });

  it("takes element floor(i L / S) as the nearest, along any axis", async () => {
    for (const [length, size] of [
      [3, 7],
      [7, 3],
      [6, 10],
      [49, 100],
      [1, 4],
    ] as const) {
      const x = floats(
        [1, 2, length],
        Array.from({ length: 2 * length }, (_, index) => index / 8),
      );
      const { y, rows } = await evaluate(
        [
          x,
          floats(
            [1, 1, length, 2],
            Array.from({ length: 2 * length }, (_, index) => index),
          ),
        ],
        (row, image) => ({
          y: interpolate(row, { size: [size], mode: "nearest" }),
          rows: interpolate(image, { size: [size, 2], mode: "nearest" }),
        }),
      );
      const taken = Array.from({ length: size }, (_, index) => Math.floor((index * length) / size));
      expect(numbers(y!)).toEqual([0, 1].flatMap((line) => taken.map((at) => (line * length + at) / 8)));
      expect(numbers(rows!)).toEqual(taken.flatMap((at) => [2 * at, 2 * at + 1]));
    }
  });

  it("gives an element the sum of what was taken from it", async () => {
    const { dx } = await evaluate(
      [floats([1, 1, 3], [1, 2, 3]), floats([1, 1, 7], [1, 2, 4, 8, 16, 32, 64])],
      (x, dy) => ({
        dx: gradients(interpolate(x, { size: [7], mode: "nearest" }), [x], { cotangent: dy })[0]!,
      }),
    );
    // Elements 0 0 0 1 1 2 2.
    expect(numbers(dx!)).toEqual([7, 24, 96]);
  });

  it("keeps a linear ramp, its corners or its outer edges", async () => {
    const ramp = floats([1, 1, 3], [0, 1, 2]);
    const { aligned, edges, one } = await evaluate([ramp], (x) => ({
      aligned: interpolate(x, { size: [5], mode: "linear", alignCorners: true }),
      edges: interpolate(x, { size: [6], mode: "linear" }),
      one: interpolate(x, { size: [1], mode: "linear", alignCorners: true }),
    }));
    expect(numbers(aligned!)).toEqual([0, 0.5, 1, 1.5, 2]);
    expect(numbers(edges!)).toEqual([0, 0.25, 0.75, 1.25, 1.75, 2]);
    expect(numbers(one!)).toEqual([0]);
  });

  it("keeps a symbolic batch, and is nothing at the same size", () => {
    const x = input("x", [batch, 2, 3, 4]);
    expect(interpolate(x, { size: [6, 5], mode: "linear" }).shape).toEqual([batch, 2, 6, 5]);
    expect(interpolate(x, { size: [3, 4], mode: "nearest" })).toBe(x);
  });

  it("refuses sizes and options that do not fit", () => {
    const x = input("x", [1, 2, 3, 4]);
    expect(() => interpolate(x, { size: [6], mode: "linear" })).toThrow(
      "size must have 2 numbers, found [6]",
    );
    expect(() => interpolate(x, { size: [0, 4], mode: "linear" })).toThrow(
      "size must be an integer >= 1, found 0",
    );
    expect(() => interpolate(x, { size: [6, 4], mode: "nearest", alignCorners: true })).toThrow(
      "needs mode linear",
    );
  });
});
