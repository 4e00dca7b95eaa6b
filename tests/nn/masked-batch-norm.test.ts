import { describe, expect, it } from "vitest";
import { trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { MaskedBatchNorm } from "../../src/nn/masked-batch-norm.js";
import { compile } from "../../src/runtime/executable.js";
import { floats, numbers, relativeError } from "../ops/evaluate.js";

const options = { channels: 2, epsilon: 1e-3, momentum: 0.3 };

/** Values of [2, 2, 4] at the positions that the mask [2, 1, 4] marks, as the one sample [1, 2, count]. */
const marked = [1, 0, 1, 1, 0, 0, 1, 0];
const values = [1, 90, 2, 4, -3, 80, 5, 6, 70, 60, 7, 50, -40, 30, 0.5, 20];
const kept = [1, 2, 4, 7, -3, 5, 6, 0.5];

describe("masked batch normalization", () => {
  it("in training counts the marked positions only", async () => {
    const masked = new MaskedBatchNorm(options);
    const graph = trace(
      ({ x, mask }: { x: Tensor; mask: Tensor }) => masked.forward(x, mask),
      { x: { shape: [2, 2, 4] }, mask: { shape: [2, 1, 4], dtype: "bool" } },
      { training: true, model: masked },
    );
    const executable = await compile(graph);
    const result = await executable.run({
      x: floats([2, 2, 4], values),
      mask: { dtype: "bool", shape: [2, 1, 4], data: Uint8Array.from(marked) },
    });
    await executable.close();

    const plain = new BatchNorm(options);
    const other = await compile(trace(plain, { shape: [1, 2, 4] }, { training: true }));
    const expected = await other.run({ x: floats([1, 2, 4], kept) });
    await other.close();

    const y = numbers(result.outputs.y!);
    const found = [0, 1].flatMap((channel) =>
      marked.flatMap((mark, position) =>
        mark ? [y[(Math.floor(position / 4) * 2 + channel) * 4 + (position % 4)]!] : [],
      ),
    );
    expect(relativeError(floats([1, 2, 4], found), expected.outputs.y!)).toBeLessThan(1e-6);
    for (const path of ["runningMean", "runningVar"]) {
      expect(relativeError(result.updates[path]!, expected.updates[path]!)).toBeLessThan(1e-6);
    }
  });

  it("of a single position has variance 0 and no infinities", async () => {
    const masked = new MaskedBatchNorm(options);
    const graph = trace(
      ({ x, mask }: { x: Tensor; mask: Tensor }) => masked.forward(x, mask),
      { x: { shape: [1, 2, 3] }, mask: { shape: [1, 1, 3], dtype: "bool" } },
      { training: true, model: masked },
    );
    const executable = await compile(graph);
    const { outputs, updates } = await executable.run({
      x: floats([1, 2, 3], [1, 2, 3, 4, 5, 6]),
      mask: { dtype: "bool", shape: [1, 1, 3], data: Uint8Array.of(0, 1, 0) },
    });
    await executable.close();
    expect(numbers(outputs.y!)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(numbers(updates.runningVar!).map((value) => value.toFixed(6))).toEqual(["0.700000", "0.700000"]);
  });
});
