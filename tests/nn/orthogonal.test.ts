import { expect, it } from "vitest";
import { orthogonal } from "../../src/nn/orthogonal.js";

it("makes rows of length 1 that are orthogonal to each other, by seed and path", () => {
  const draw = (size: number, seed: number, path: string) => {
    const out = new Float32Array(size * size);
    orthogonal(size)(out, { seed, path });
    return out;
  };
  for (const size of [1, 2, 33]) {
    const matrix = draw(size, 0, "weight");
    for (let a = 0; a < size; a++) {
      for (let b = 0; b <= a; b++) {
        let product = 0;
        for (let k = 0; k < size; k++) product += matrix[a * size + k]! * matrix[b * size + k]!;
        expect(product).toBeCloseTo(a === b ? 1 : 0, 6);
      }
    }
  }
  expect(draw(4, 0, "weight")).toEqual(draw(4, 0, "weight"));
  expect(draw(4, 0, "weight")).not.toEqual(draw(4, 1, "weight"));
  expect(draw(4, 0, "weight")).not.toEqual(draw(4, 0, "other"));
});
