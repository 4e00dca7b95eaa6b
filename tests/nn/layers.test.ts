import { afterAll, describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { OptionError } from "../../src/base/errors.js";
import { initialize, trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Conv } from "../../src/nn/conv.js";
import { Dropout } from "../../src/nn/dropout.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { add, dropout } from "../../src/ops/index.js";
import { compile, type RunResult } from "../../src/runtime/executable.js";
import { release, run } from "../../src/runtime/run.js";
import { floats, numbers } from "../ops/evaluate.js";
import { sampleValues } from "../ops/sample-values.js";

const used: Module[] = [];
afterAll(() => Promise.all(used.map(release)));

async function runOnce(module: Module, x: HostTensor, options = {}): Promise<RunResult> {
  used.push(module);
  return await run(module, x, options);
}

describe("BatchNorm", () => {
  const x = sampleValues([{ shape: [4, 2, 3] }], "positive", "batch norm")[0]!;

  /** Mean and biased variance of a channel, in float64. */
  function moments(channel: number): { mean: number; variance: number } {
    const values = numbers(x).filter((_, index) => Math.floor(index / 3) % 2 === channel);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
  }

  it("updates twice where it is applied twice in one trace", async () => {
    class Twice extends Module {
      readonly bn = new BatchNorm({ channels: 2, momentum: 0.25 });
      forward(input: Tensor): Tensor {
        return add(this.bn.forward(input), this.bn.forward(add(input, 1)));
      }
    }
    const { updates } = await runOnce(new Twice(), x, { training: true });
    expect(Object.keys(updates)).toEqual(["bn.runningMean", "bn.runningVar"]);
    for (const channel of [0, 1]) {
      const { mean, variance } = moments(channel);
      const unbiased = (variance * 12) / 11;
      // 0 -> 0.25 m -> 0.75 (0.25 m) + 0.25 (m + 1), and 1 -> 0.75 + 0.25 v -> 0.75 (0.75 + 0.25 v) + 0.25 v
      const expected = [
        0.75 * 0.25 * mean + 0.25 * (mean + 1),
        0.75 * (0.75 + 0.25 * unbiased) + 0.25 * unbiased,
      ];
      expect(numbers(updates["bn.runningMean"]!)[channel]).toBeCloseTo(expected[0]!, 6);
      expect(numbers(updates["bn.runningVar"]!)[channel]).toBeCloseTo(expected[1]!, 6);
    }
  });

  it("uses the batch in training, and its running statistics otherwise", async () => {
    const bn = new BatchNorm({ channels: 2, epsilon: 1e-3 });
    initialize(bn);
    bn.weight.value = Float32Array.of(2, 3);
    bn.bias.value = Float32Array.of(-1, 1);
    bn.runningMean.value = Float32Array.of(0.5, 1);
    bn.runningVar.value = Float32Array.of(4, 0.25);
    const statistics = {
      true: [0, 1].map(moments),
      false: [
        { mean: 0.5, variance: 4 },
        { mean: 1, variance: 0.25 },
      ],
    };
    for (const training of [true, false]) {
      const { outputs, updates } = await runOnce(bn, x, { training });
      expect(Object.keys(updates).length).toBe(training ? 2 : 0);
      for (const [index, value] of numbers(x).entries()) {
        const channel = Math.floor(index / 3) % 2;
        const { mean, variance } = statistics[`${training}`][channel]!;
        const normal = (value - mean) / Math.sqrt(variance + 1e-3);
        expect(numbers(outputs.y!)[index]).toBeCloseTo([2, 3][channel]! * normal + [-1, 1][channel]!, 4);
      }
    }
  });

  it("refuses a single value per channel in training", () => {
    const bn = new BatchNorm({ channels: 2 });
    expect(() => trace(bn, { shape: [1, 2, 1, 1] }, { training: true })).toThrow(
      "batch statistics need more than one value per channel, found [1, 2, 1, 1]",
    );
    expect(trace(bn, { shape: [1, 2, 1, 1] }).updates.size).toBe(0);
  });
});

describe("Linear and Conv", () => {
  it("compute what they say, with and without bias", async () => {
    const layer = new Linear({ inFeatures: 2, outFeatures: 2 });
    layer.weight.value = Float32Array.of(1, 2, 3, 4);
    layer.bias!.value = Float32Array.of(10, 20);
    const { outputs } = await runOnce(layer, floats([1, 1, 2], [1, 10]));
    expect(outputs.y!).toEqual(floats([1, 1, 2], [31, 63]));
    const conv = new Conv({ inChannels: 1, outChannels: 1, kernel: [2], bias: false, stride: 2 });
    conv.weight.value = Float32Array.of(1, 10);
    expect((await runOnce(conv, floats([1, 1, 4], [1, 2, 3, 4]))).outputs.y!).toEqual(
      floats([1, 1, 2], [21, 43]),
    );
    expect(conv.bias).toBeUndefined();
  });
});

describe("Dropout", () => {
  const ones = (...shape: number[]) => floats(shape, Array(shape.reduce((a, b) => a * b)).fill(1));
  const training = { training: true };

  it("drops its share and scales what it keeps", async () => {
    const count = 20_000;
    const { outputs } = await runOnce(new Dropout({ rate: 0.3 }), ones(count), training);
    const values = numbers(outputs.y!);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
    const dropped = values.filter((value) => value === 0).length / count;
    // Five standard errors.
    expect(Math.abs(dropped - 0.3)).toBeLessThan(5 * Math.sqrt((0.3 * 0.7) / count));
  });

  it.each([[[2, 3]], [[-2, -1]]])("gives channels one fate along axes %s", async (sharedAxes) => {
    const { outputs } = await runOnce(new Dropout({ rate: 0.5, sharedAxes }), ones(4, 8, 2, 3), training);
    const values = numbers(outputs.y!);
    const channels = Array.from(
      { length: 32 },
      (_, index) => new Set(values.slice(6 * index, 6 * index + 6)),
    );
    expect(channels.every((fates) => fates.size === 1)).toBe(true);
    expect(new Set(channels.map((fates) => [...fates][0]))).toEqual(new Set([0, 2]));
  });

  it("draws the same mask for the same seed and step, and others for other calls and layers", async () => {
    class Two extends Module {
      readonly first = new Dropout({ rate: 0.5 });
      readonly second = new Dropout({ rate: 0.5 });
      forward(x: Tensor): Record<string, Tensor> {
        return { a: this.first.forward(x), b: this.second.forward(x), again: this.first.forward(x) };
      }
    }
    const graph = trace(new Two(), { shape: [64] }, training);
    expect(graph.noise.map(({ stream }) => stream)).toEqual(["first", "second", "first#2"]);
    const draw = async (seed: number, step: number) => {
      const executable = await compile(graph, { seed });
      const { outputs } = await executable.run({ x: ones(64) }, { step });
      await executable.close();
      return Object.values(outputs).map((output) => numbers(output).join());
    };
    const first = await draw(1, 0);
    expect(new Set(first).size).toBe(3);
    expect(await draw(1, 0)).toEqual(first);
    expect(await draw(1, 1)).not.toEqual(first);
    expect(await draw(2, 0)).not.toEqual(first);
  });

  it("is the identity in evaluation and at rate 0", () => {
    for (const [rate, mode] of [
      [0.5, false],
      [0, true],
    ] as const) {
      const { inputs, outputs, noise } = trace(new Dropout({ rate }), { shape: [4] }, { training: mode });
      expect(outputs.get("y")).toBe(inputs.get("x"));
      expect(noise).toEqual([]);
    }
  });

  it("refuses other rates and axes", () => {
    for (const rate of [-0.1, 1, Number.NaN]) {
      expect(() => new Dropout({ rate })).toThrow(
        new OptionError(`dropout: rate is ${rate}; it must be in [0, 1)`),
      );
    }
    expect(() => trace(new Dropout({ rate: 0.5, sharedAxes: [2] }), { shape: [4, 4] }, training)).toThrow(
      "axis 2 is out of range for rank 2",
    );
    expect(() =>
      trace((x: Tensor) => dropout(x, { rate: 1, stream: "s" }), { shape: [4] }, training),
    ).toThrow(OptionError);
  });
});
