import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import {
  gradients,
  mul,
  type PlaneWindow,
  reshape,
  sin,
  sum,
  unfold,
  windowSums,
} from "../../src/ops/index.js";
import { evaluate, relativeError } from "./evaluate.js";
import { sampleValues } from "./sample-values.js";

/** The same of unfolded windows: values [N, S, G, 1, K, H, W] times weights [N, 1, G, K, H, W]. */
function reference(values: Tensor, weights: Tensor, { kernel, dilation = 1 }: PlaneWindow): Tensor {
  const [groups, elements, rows, columns] = [1, 2, 3, 4].map((axis) => weights.size(axis));
  const planes = [elements!, rows!, columns!];
  const windows = reshape(unfold(values, { kernel, dilation }), {
    shape: [-1, values.size(1) / groups!, groups!, ...planes],
  });
  const products = mul(windows, reshape(weights, { shape: [-1, 1, groups!, ...planes] }));
  return reshape(sum(products, { axes: [3] }), { shape: [-1, values.size(1), rows!, columns!] });
}

describe("sums over windows", () => {
  it.each<[values: number[], weights: number[], window: PlaneWindow]>([
    [[2, 6, 7, 6], [2, 3, 9, 5, 4], { kernel: [3, 3] }],
    [[2, 4, 7, 9], [2, 4, 6, 5, 5], { kernel: [2, 3], dilation: 2 }],
    [[1, 3, 4, 4], [1, 1, 1, 4, 4], { kernel: [1, 1] }],
  ])("of %j under %j are those of unfolded windows, with their gradients", async (xs, ws, window) => {
    const values = sampleValues([{ shape: xs }, { shape: ws }], "smooth", "windowSums");
    const all = (form: typeof reference) => (x: Tensor, w: Tensor) => {
      const y = form(x, w, window);
      const [dx, dw] = gradients(sum(sin(y), { keepDims: false }), [x, w]);
      const [again] = gradients(sum(sin(dw!), { keepDims: false }), [x]);
      return { y, dx: dx!, dw: dw!, again: again! };
    };
    const expected = await evaluate(values, all(reference));
    const found = await evaluate(values, all(windowSums));
    for (const [name, value] of Object.entries(expected)) {
      expect(found[name]!.shape).toEqual(value.shape);
      expect(relativeError(found[name]!, value), name).toBeLessThan(1e-6);
    }
  });

  it("are of a symbolic batch too", () => {
    const [x, w] = [input("x", [batch, 4, 6, 6]), input("w", [batch, 2, 9, 4, 4])];
    expect(windowSums(x, w, { kernel: [3, 3] }).shape).toEqual([batch, 4, 4, 4]);
  });

  it("refuse weights and channels that do not fit", () => {
    const x = input("x", [2, 4, 6, 6]);
    const sums = (shape: number[]) => () => windowSums(x, input("w", shape), { kernel: [3, 3] });
    expect(sums([2, 2, 8, 4, 4])).toThrow(ShapeError);
    expect(sums([2, 2, 8, 4, 4])).toThrow("weights must be [2, 2, 9, 4, 4], found [2, 2, 8, 4, 4]");
    expect(sums([2, 3, 9, 4, 4])).toThrow("channels 4 must be divisible by groups 3");
    expect(sums([2, 9, 4, 4])).toThrow("weights must have rank 5");
  });
});
