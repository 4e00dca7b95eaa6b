import { describe, expect, it } from "vitest";
import { SimAM } from "../../../src/attention/channel-spatial/simam.js";
import { parameterCount } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { floats } from "../../ops/evaluate.js";
import { channelOf, distance, image, mapValues, tapOf } from "../images.js";

const x = image([2, 4, 5, 6]);
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

describe("SimAM", () => {
  it("has no parameters", () => {
    expect(parameterCount(new SimAM({}))).toBe(0);
  });

  it("does not see a channel's offset, nor its scale where lambda vanishes", async () => {
    const module = new SimAM({ lambda: 1e-12 });
    const before = await tapOf(module, x);
    const shifted = mapValues(x, (value, index) => value + channelOf(x, index));
    const scaled = mapValues(x, (value, index) => value * (1 + channelOf(x, index)));
    expect(distance(await tapOf(module, shifted), before)).toBeLessThan(1e-5);
    expect(distance(await tapOf(module, scaled), before)).toBeLessThan(1e-5);
    expect(distance(await tapOf(new SimAM({ lambda: 1 }), scaled), before)).toBeGreaterThan(0.01);
  });

  it("gives a constant channel the least gate", async () => {
    const gates = await tapOf(new SimAM({}), floats([1, 1, 2, 3], Array(6).fill(0.7)));
    for (const gate of gates) expect(gate).toBeCloseTo(sigmoid(0.5), 6);
    expect(new Set(gates).size).toBe(1);
  });

  it("is bounded by a single pixel that differs from all others", async () => {
    const pixels = 12;
    const spike = floats([1, 1, 3, 4], [1, ...Array(pixels - 1).fill(0)]);
    const [peak = 0] = await tapOf(new SimAM({ lambda: 1e-12 }), spike);
    expect(peak).toBeCloseTo(sigmoid(0.5 + (pixels - 1) ** 2 / (4 * pixels)), 6);
    const pair = await tapOf(new SimAM({ lambda: 1e-12 }), floats([1, 1, 1, 2], [3, -1]));
    for (const gate of pair) expect(gate).toBeCloseTo(sigmoid(0.5 + 1 / 8), 6);
  });

  it("refuses a single pixel", async () => {
    await expect(run(new SimAM({}), image([2, 3, 1, 1]))).rejects.toThrow(
      "height * width must be >= 2, found [2, 3, 1, 1]",
    );
  });
});
