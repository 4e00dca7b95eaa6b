import { describe, expect, it } from "vitest";
import {
  planesReversed,
  type StoredTensor,
  stacked,
  trailingAxes,
  transposed,
} from "../../src/attention/checkpoint-layout.js";

const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Shape and values of a reference's tensor for parts that count 0, 1, 2 ... */
function joined(tensor: StoredTensor, ...shapes: readonly number[][]) {
  const parts = shapes.map((shape, index) =>
    Float32Array.from({ length: count(shape) }, (_, at) => 100 * index + at),
  );
  const values = tensor.join(parts, shapes);
  // There and back.
  expect(tensor.split(values, shapes)).toEqual(parts);
  return { shape: tensor.shape(shapes), values: [...values] };
}

describe("StoredTensor", () => {
  it("stacks rows", () => {
    expect(joined(stacked("a", "b"), [2, 2], [1, 2])).toEqual({
      shape: [3, 2],
      values: [0, 1, 2, 3, 100, 101],
    });
    expect(joined(stacked("a", "b"), [1], [2])).toEqual({ shape: [3], values: [0, 100, 101] });
    expect(
      stacked("a", "b").shape([
        [2, 2],
        [2, 3],
      ]),
    ).toBeUndefined();
  });

  it("transposes", () => {
    expect(joined(transposed("a"), [2, 3])).toEqual({ shape: [3, 2], values: [0, 3, 1, 4, 2, 5] });
  });

  it("reverses planes", () => {
    expect(joined(planesReversed("a"), [2, 2, 1, 2])).toEqual({
      shape: [2, 2, 1, 2],
      values: [2, 3, 0, 1, 6, 7, 4, 5],
    });
    expect(joined(planesReversed("a"), [1, 3, 1]).values).toEqual([2, 1, 0]);
  });

  it("adds and drops axes of size 1", () => {
    expect(joined(trailingAxes(2, "a"), [2])).toEqual({ shape: [2, 1, 1], values: [0, 1] });
    expect(joined(trailingAxes(-2, "a"), [2, 1, 1, 1])).toEqual({ shape: [2, 1], values: [0, 1] });
    expect(joined(trailingAxes(-1, "a"), [1]).shape).toEqual([]);
    expect(trailingAxes(-1, "a").shape([[2, 3]])).toBeUndefined();
  });
});
