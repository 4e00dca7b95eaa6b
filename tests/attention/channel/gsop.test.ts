import { describe, expect, it } from "vitest";
import { GSoP } from "../../../src/attention/channel/gsop.js";
import { covariance } from "../../../src/attention/second-order.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { ShapeError } from "../../../src/base/errors.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues, shufflePixels, tapOf } from "../images.js";

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("global second-order pooling", () => {
  it("does not see where the pixels lie at stride 1, but does where a stride skips some", async () => {
    const x = image([2, 8, 5, 6]);
    const whole = randomize(new GSoP({ channels: 8, reducedChannels: 3 }));
    expect(distance(await tapOf(whole, x), await tapOf(whole, shufflePixels(x)))).toBeLessThan(1e-6);
    const skipping = randomize(new GSoP({ channels: 8, reducedChannels: 3, stride: 2 }));
    expect(distance(await tapOf(skipping, x), await tapOf(skipping, shufflePixels(x)))).toBeGreaterThan(1e-3);
  });

  it("sees deviations from the mean and not the mean", async () => {
    const module = randomize(new GSoP({ channels: 4, reducedChannels: 3 }));
    // Positive all along, so that no ReLU cuts.
    setValues(module, "reduceConv.weight", [1, 2, 1, 2, 2, 1, 3, 1, 1, 1, 2, 3]);
    setValues(module, "reduceConv.bias", 0);
    setValues(module, "reduceBn.weight", 0.2);
    setValues(module, "reduceBn.bias", 5);
    const deviations = image([1, 4, 4, 4]);
    const center = (channel: number) => mean(numbers(deviations).slice(channel * 16, channel * 16 + 16));
    const scaled = (factor: number, shift = 20): HostTensor =>
      mapValues(deviations, (value, index) => shift + factor * (value - center(Math.floor(index / 16))));
    const gate = await tapOf(module, scaled(1));
    expect(distance(gate, await tapOf(module, scaled(1, 30)))).toBeLessThan(1e-4);
    expect(distance(gate, await tapOf(module, scaled(2)))).toBeGreaterThan(1e-2);
  });

  it("pools a symmetric, positive semi-definite matrix, also far from zero", async () => {
    const rows = mapValues(image([1, 5, 7]), (value) => value + 100);
    const { outputs } = await run((x: Tensor) => covariance(x), rows);
    const matrix = numbers(outputs.y!);
    const entry = (a: number, b: number) => matrix[a * 5 + b]!;
    for (let a = 0; a < 5; a++) {
      for (let b = 0; b < 5; b++) expect(entry(a, b)).toBeCloseTo(entry(b, a), 5);
    }
    for (let trial = 0; trial < 20; trial++) {
      const v = numbers(image([5], `direction ${trial}`));
      const form = v.reduce(
        (sum, va, a) => sum + v.reduce((inner, vb, b) => inner + va * vb * entry(a, b), 0),
        0,
      );
      expect(form).toBeGreaterThan(-1e-6);
    }
    const x = numbers(rows).slice(0, 7);
    const center = mean(x);
    expect(entry(0, 0)).toBeCloseTo(
      x.reduce((sum, value) => sum + (value - center) ** 2 / 7, 0),
      4,
    );
  });

  it("starts with weights as wide as their outputs demand", () => {
    const values = stateDict(new GSoP({ channels: 64, reducedChannels: 32 }));
    const deviation = (path: string) =>
      Math.sqrt(mean(numbers(values.get(path)!).map((value) => value ** 2)));
    expect(deviation("reduceConv.weight") / Math.sqrt(2 / 32)).toBeCloseTo(1, 1);
    expect(deviation("rowConv.weight") / Math.sqrt(2 / (4 * 32 * 32))).toBeCloseTo(1, 1);
    expect(deviation("fc.weight") / Math.sqrt(2 / 64)).toBeCloseTo(1, 1);
    for (const [path, fanIn] of Object.entries({ reduceConv: 64, rowConv: 32, fc: 128 })) {
      const largest = Math.max(...numbers(values.get(`${path}.bias`)!).map(Math.abs));
      expect(largest * Math.sqrt(fanIn)).toBeLessThanOrEqual(1);
      expect(largest * Math.sqrt(fanIn)).toBeGreaterThan(0.8);
    }
  });

  it("needs more than one value per channel in training", async () => {
    const module = new GSoP({ channels: 4, reducedChannels: 3 });
    await expect(run(module, image([1, 4, 1, 1]), { training: true })).rejects.toThrow(ShapeError);
  });
});
