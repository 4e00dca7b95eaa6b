import { describe, expect, it } from "vitest";
import { DynamicConv } from "../../../src/attention/branch/dynamic-conv.js";
import { OptionError } from "../../../src/base/errors.js";
import { initialize, namedVariables, trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { Conv2d } from "../../../src/nn/conv.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { emitModel } from "../../../src/onnx/emit.js";
import { gradients } from "../../../src/ops/gradients.js";
import { sum } from "../../../src/ops/reduce.js";
import { compile } from "../../../src/runtime/executable.js";
import { run } from "../../../src/runtime/run.js";
import { cpu, numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, setValues, tapOf } from "../images.js";

const options = { channels: 4, outChannels: 6, padding: 1, experts: 3 } as const;
const x = image([2, 4, 5, 4]);

function expertsOf(module: DynamicConv): { weight: number[][]; bias: number[][] } {
  const split = (values: ArrayLike<number>) => {
    const list = Array.from(values);
    const length = list.length / 3;
    return [0, 1, 2].map((expert) => list.slice(expert * length, (expert + 1) * length));
  };
  return {
    weight: split(module.weight.value as Float32Array),
    bias: split(module.bias!.value as Float32Array),
  };
}

async function ordinary(weight: readonly number[], bias: readonly number[]): Promise<number[]> {
  const conv = new Conv2d({ inChannels: 4, outChannels: 6, kernel: 3, padding: 1 });
  setValues(conv, "weight", weight);
  setValues(conv, "bias", bias);
  return numbers((await run(conv, x)).outputs.y!);
}

describe("dynamic convolution", () => {
  it("uses the mean kernel for every sample at a high temperature, and one kernel at a low one", async () => {
    const module = randomize(new DynamicConv({ ...options, temperature: 1e9 }));
    const { weight, bias } = expertsOf(module);
    const mean = (lists: number[][]) =>
      lists[0]!.map((_, index) => lists.reduce((total, list) => total + list[index]! / 3, 0));
    const y = numbers((await run(module, x)).outputs.y!);
    expect(distance(y, await ordinary(mean(weight), mean(bias)))).toBeLessThan(1e-5);
    module.setTemperature(1e-6);
    const shares = await tapOf(module, x);
    expect(shares.filter((share) => share > 0.999).length).toBe(2);
  });

  it("is an ordinary convolution for equal experts, whose attention gets no gradient", async () => {
    const module = randomize(new DynamicConv({ ...options, temperature: 1 }));
    const { weight, bias } = expertsOf(module);
    setValues(
      module,
      "weight",
      [0, 1, 2].flatMap(() => weight[0]!),
    );
    setValues(
      module,
      "bias",
      [0, 1, 2].flatMap(() => bias[0]!),
    );
    const y = numbers((await run(module, x)).outputs.y!);
    expect(distance(y, await ordinary(weight[0]!, bias[0]!))).toBeLessThan(1e-5);
    const names = ["attention.fc1.weight", "attention.fc2.weight", "attention.fc2.bias", "weight"];
    const graph = trace(
      (input: Tensor) => {
        const wrt = names.map((name) => namedVariables(module).get(name)!);
        const found = gradients(sum(module.forward(input), { keepDims: false }), wrt);
        return Object.fromEntries(names.map((name, index) => [name, found[index]!]));
      },
      { shape: x.shape },
      { model: module },
    );
    const executable = await compile(graph);
    const { outputs } = await executable.run({ x });
    await executable.close();
    const largest = (name: string) => Math.max(...numbers(outputs[name]!).map(Math.abs));
    expect(largest("weight")).toBeGreaterThan(1);
    // Rounding only: the terms of these sums are of order 10.
    for (const name of names.slice(0, 3)) expect(largest(name)).toBeLessThan(1e-4);
  });

  it("costs less than 1.1 of one convolution for an image much larger than K", () => {
    const { macs } = DynamicConv.about;
    const { options: full } = new DynamicConv({ channels: 64, outChannels: 64, padding: 1 });
    const size = 56;
    expect(macs(full, { batch: 1, height: size, width: size })).toBeLessThan(1.1 * 64 * 64 * 9 * size * size);
  });

  it("has a hidden width of floor(C ratio) + 1, and of K for images", () => {
    const hidden = (given: object) =>
      new DynamicConv({ channels: 16, outChannels: 4, ...given }).attention.fc1.weight.shape[0];
    expect(hidden({})).toBe(5);
    expect(hidden({ ratio: 0.5 })).toBe(9);
    expect(hidden({ channels: 3 })).toBe(4);
    expect(hidden({ channels: 3, experts: 7, ratio: 2 })).toBe(7);
  });

  it("starts with kernels of He's bound, small logits and no bias", () => {
    const module = new DynamicConv({ channels: 16, outChannels: 32 });
    initialize(module);
    const largest = Math.max(...numbers(stateDict(module).get("weight")!).map(Math.abs));
    const bound = Math.sqrt(6 / (16 * 9));
    expect(largest).toBeLessThanOrEqual(bound);
    expect(largest).toBeGreaterThan(0.99 * bound);
    for (const path of ["bias", "attention.fc2.bias"]) {
      expect(new Set(numbers(stateDict(module).get(path)!))).toEqual(new Set([0]));
    }
    const fc1 = numbers(
      stateDict(new DynamicConv({ channels: 256, outChannels: 4 })).get("attention.fc1.weight")!,
    );
    const deviation = Math.sqrt(fc1.reduce((total, value) => total + value * value, 0) / fc1.length);
    expect(Math.abs(deviation / Math.sqrt(2 / 65) - 1)).toBeLessThan(0.02);
  });
});

describe("the temperature of dynamic convolution", () => {
  it("changes what is run, and is an input of a graph whose variables are", async () => {
    const module = randomize(new DynamicConv(options));
    const before = await tapOf(module, x);
    module.setTemperature(1);
    expect(distance(before, await tapOf(module, x))).toBeGreaterThan(0.01);
    const graph = trace(module, { shape: x.shape });
    const { usedInputs } = emitModel({
      ...graph,
      target: cpu,
      variablesAs: "inputs",
      producerVersion: "0.0.0",
    });
    expect(usedInputs).toContain("temperature");
  });

  it("is no parameter, is saved, and keeps its value where a reference checkpoint lacks it", () => {
    const module = randomize(new DynamicConv(options));
    expect(module.temperature.trainable).toBe(false);
    module.setTemperature(7);
    const saved = stateDict(module);
    expect(numbers(saved.get("temperature")!)).toEqual([7]);
    const other = new DynamicConv(options);
    expect(loadStateDict(other, saved)).toEqual({ missing: [], unused: [], mismatched: [] });
    expect(numbers(stateDict(other).get("temperature")!)).toEqual([7]);
    const reference = new Map([...saved].filter(([path]) => path !== "temperature"));
    const third = new DynamicConv({ ...options, temperature: 30 });
    expect(loadStateDict(third, reference).missing).toEqual([]);
    expect(numbers(stateDict(third).get("temperature")!)).toEqual([30]);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("refuses %d", (value) => {
    const module = new DynamicConv(options);
    expect(() => module.setTemperature(value)).toThrow(OptionError);
  });
});
