import { describe, expect, it } from "vitest";
import { APNB } from "../../../src/attention/spatial/apnb.js";
import { ShapeError } from "../../../src/base/errors.js";
import { trace } from "../../../src/graph/model.js";
import { batch } from "../../../src/graph/size.js";
import { stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

describe("asymmetric pyramid non-local block", () => {
  it("attends to 110 regions, 298 times fewer than the pixels of 128 x 256", () => {
    const module = new APNB({ channels: 4 });
    const graph = trace(module, { shape: [batch, 4, 128, 256] });
    const [, pixels, regions] = graph.taps.get("attention")!.shape;
    expect([pixels, regions]).toEqual([128 * 256, 110]);
    expect(Math.round((128 * 256) / 110)).toBe(298);
  });

  it("moves the running statistics of the key twice a step", async () => {
    const x = image([2, 6, 5, 4]);
    const module = randomize(
      new APNB({ channels: 6, keyChannels: 3, valueChannels: 4, poolSizes: [1, 2], dropout: 0 }),
    );
    const before = stateDict(module);
    const { updates } = await run(module, x, { training: true });
    const keys = (await run(module.keyConv, x)).outputs.y!;
    const values = numbers(keys);
    const pixels = 5 * 4;
    const moments = [0, 1, 2].map((channel) => {
      const own = values.filter((_, index) => Math.floor(index / pixels) % 3 === channel);
      const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
      return { mean, variance: own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (own.length - 1) };
    });
    const moved = (name: string, batchValues: readonly number[]) =>
      numbers(before.get(name)!).map((value, index) => 0.81 * value + 0.19 * batchValues[index]!);
    const means = moved(
      "keyNorm.runningMean",
      moments.map(({ mean }) => mean),
    );
    const variances = moved(
      "keyNorm.runningVar",
      moments.map(({ variance }) => variance),
    );
    expect(distance(numbers(updates["keyNorm.runningMean"]!), means)).toBeLessThan(1e-5);
    expect(distance(numbers(updates["keyNorm.runningVar"]!), variances)).toBeLessThan(1e-5);
  });

  it("drops whole channels in training", async () => {
    const module = randomize(
      new APNB({ channels: 12, keyChannels: 3, valueChannels: 4, poolSizes: [1], dropout: 0.5 }),
    );
    const x = image([2, 12, 4, 4]);
    const dropped = numbers((await run(module, x, { training: true })).outputs.y!);
    const planes = Array.from({ length: 24 }, (_, plane) => dropped.slice(plane * 16, (plane + 1) * 16));
    const empty = planes.filter((plane) => plane.every((value) => value === 0));
    expect(empty.length).toBeGreaterThan(0);
    expect(empty.length).toBeLessThan(24);
  });

  it("refuses batch statistics of one value", () => {
    expect(() => trace(new APNB({ channels: 4 }), { shape: [1, 4, 1, 1] }, { training: true })).toThrow(
      ShapeError,
    );
  });
});
