import { describe, expect, it } from "vitest";
import { AttentionGate } from "../../../src/attention/spatial/attention-gate.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, trace } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

describe("additive attention gate", () => {
  it("scales all channels of a pixel alike, by its one map", async () => {
    const module = randomize(new AttentionGate({ channels: 4, gateChannels: 3, outputTransform: false }));
    const inputs = { x: image([2, 4, 6, 5]), gate: image([2, 3, 2, 2], "gate") };
    const { outputs, taps } = await run(module, inputs, { taps: ["attention"] });
    const map = numbers(taps.attention!);
    expect(taps.attention!.shape).toEqual([2, 1, 6, 5]);
    const expected = numbers(inputs.x).map(
      (value, index) => value * map[Math.floor(index / 120) * 30 + (index % 30)]!,
    );
    expect(distance(numbers(outputs.y!), expected)).toBeLessThan(1e-6);
  });

  it("has a map that sums to the pixels of a cell under a softmax", async () => {
    const module = randomize(
      new AttentionGate({ channels: 4, gateChannels: 3, subSample: [2, 3], normalization: "softmax" }),
    );
    const inputs = { x: image([1, 4, 8, 6]), gate: image([1, 3, 2, 2], "gate") };
    const { taps } = await run(module, inputs, { taps: ["attention"] });
    expect(numbers(taps.attention!).reduce((sum, value) => sum + value, 0)).toBeCloseTo(6, 4);
  });

  it("starts with weights for ReLU and a normalization near one", () => {
    const module = new AttentionGate({ channels: 64, gateChannels: 32 });
    initialize(module, { seed: 3 });
    const spread = (values: Iterable<number>) => {
      const list = [...values];
      const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
      const square = list.reduce((sum, value) => sum + (value - mean) ** 2, 0) / list.length;
      return { mean, deviation: Math.sqrt(square) };
    };
    const theta = spread(module.theta.weight.value as Float32Array);
    expect(theta.deviation / Math.sqrt(2 / 256)).toBeCloseTo(1, 1);
    const norm = spread(module.outNorm!.weight.value as Float32Array);
    expect(norm.mean).toBeCloseTo(1, 1);
    expect(norm.deviation).toBeLessThan(0.03);
    expect(norm.deviation).toBeGreaterThan(0.01);
  });

  it("refuses another batch of gates, and an image smaller than a cell", () => {
    const module = new AttentionGate({ channels: 4, gateChannels: 3 });
    const traced = (x: number[], gate: number[]) => trace(module, { x: { shape: x }, gate: { shape: gate } });
    expect(() => traced([2, 4, 6, 6], [1, 3, 3, 3])).toThrow(ShapeError);
    expect(() => traced([1, 4, 1, 6], [1, 3, 3, 3])).toThrow(ShapeError);
    expect(traced([2, 4, 6, 6], [2, 3, 3, 3]).outputs.get("y")!.shape).toEqual([2, 4, 6, 6]);
  });
});
