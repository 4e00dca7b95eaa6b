import { describe, expect, it } from "vitest";
import { BilinearAttention } from "../../../src/attention/channel/bi-attention.js";
import { ShapeError } from "../../../src/base/errors.js";
import { run } from "../../../src/runtime/run.js";
import { distance, image, mapValues, randomize, setValues, tapOf } from "../images.js";

const build = () => randomize(new BilinearAttention({ channels: 6, reduction: 2 }));

describe("bilinear attention", () => {
  it("is never below one half, and one half where either gate is closed", async () => {
    const module = build();
    const x = image([2, 6, 4, 5]);
    const attention = await tapOf(module, x);
    const [global, local] = [await tapOf(module, x, "global"), await tapOf(module, x, "local")];
    expect(Math.min(...global, ...local)).toBe(0);
    attention.forEach((value, index) => {
      const product = global[Math.floor(index / 20)]! * local[index]!;
      if (product === 0) expect(value).toBe(0.5);
      expect(value).toBeGreaterThanOrEqual(0.5);
      expect(value).toBeCloseTo(1 / (1 + Math.exp(-product)), 5);
    });
  });

  it("keeps the spatial structure: a pixel reaches its own local gate only", async () => {
    const module = build();
    const x = image([1, 6, 4, 5]);
    const other = mapValues(x, (value, index) => (index % 20 === 7 ? value + 2 : value));
    const [before, after] = [await tapOf(module, x, "local"), await tapOf(module, other, "local")];
    const moved = before.flatMap((value, index) => (value === after[index] ? [] : [index % 20]));
    expect(new Set(moved)).toEqual(new Set([7]));
  });

  it("is of second order: doubled features weigh four times", async () => {
    const module = build();
    setValues(module, "local.conv.bias", 0);
    setValues(module, "local.bn.bias", 0);
    setValues(module, "local.bn.runningMean", 0);
    const x = image([1, 6, 4, 5]);
    const before = await tapOf(module, x, "local");
    for (const name of ["weight", "bias"] as const) {
      const values = Array.from(module.reduce.bn[name].value as Float32Array);
      setValues(
        module,
        `reduce.bn.${name}`,
        values.map((value) => 2 * value),
      );
    }
    const after = await tapOf(module, x, "local");
    expect(Math.max(...before)).toBeGreaterThan(0);
    const fourfold = before.map((value) => 4 * value);
    expect(distance(after, fourfold)).toBeLessThan(1e-5 * Math.max(...fourfold));
  });

  it("orders the products by diagonals", async () => {
    const module = new BilinearAttention({ channels: 6, reduction: 2 });
    // Three features u = (2, 3, 5); the local convolution picks one product per channel.
    setValues(module, "reduce.conv.weight", 0);
    setValues(module, "reduce.conv.bias", [2, 3, 5]);
    setValues(module, "reduce.bn.runningVar", 1 - 1e-5);
    setValues(
      module,
      "local.conv.weight",
      Array.from({ length: 36 }, (_, index) => (index % 7 === 0 ? 1 : 0)),
    );
    setValues(module, "local.conv.bias", 0);
    setValues(module, "local.bn.runningVar", 1 - 1e-5);
    const local = await tapOf(module, image([1, 6, 1, 1]), "local");
    expect(distance(local, [4, 9, 25, 6, 15, 10])).toBeLessThan(1e-4);
  });

  it("refuses a single sample in training", async () => {
    await expect(run(build(), image([1, 6, 4, 5]), { training: true })).rejects.toThrow(ShapeError);
  });
});
