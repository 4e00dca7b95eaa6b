import { describe, expect, it } from "vitest";
import { GaterNet } from "../../../src/attention/channel/gaternet.js";
import { ShapeError } from "../../../src/base/errors.js";
import { type Graph, trace } from "../../../src/graph/model.js";
import { selectTaps } from "../../../src/graph/select-taps.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { gradients } from "../../../src/ops/gradients.js";
import { sum } from "../../../src/ops/reduce.js";
import { compile } from "../../../src/runtime/executable.js";
import { run } from "../../../src/runtime/run.js";
import { floats, numbers } from "../../ops/evaluate.js";
import { image, randomize, setValues } from "../images.js";

const options = { channels: 6, features: 5, bottleneck: 4 };

function inputsOf(batch: number) {
  return { x: image([batch, 6, 3, 2]), features: image([batch, 5], "features") };
}

function rows(values: readonly number[], length: number): number[][] {
  return Array.from({ length: values.length / length }, (_, row) =>
    values.slice(row * length, (row + 1) * length),
  );
}

describe("GaterNet in evaluation", () => {
  it("switches every filter fully on or off, by the sign of its logit", async () => {
    const module = randomize(new GaterNet(options));
    const { x, features } = inputsOf(8);
    const { outputs, taps } = await run(module, { x, features }, { taps: ["gates", "logits"] });
    const gates = numbers(taps.gates!);
    expect(gates).toEqual(numbers(taps.logits!).map((logit) => (logit > 0 ? 1 : 0)));
    expect(new Set(gates)).toEqual(new Set([0, 1]));
    expect(numbers(outputs.y!)).toEqual(
      numbers(x).map((value, index) => (gates[Math.floor(index / 6)] ? value : 0 * value)),
    );
    const means = rows(gates, 6).map((row) => Math.fround(row.reduce((total, gate) => total + gate, 0) / 6));
    expect(numbers(outputs.sparsity!)).toEqual(means);
  });

  it("has the gradient of the soft gates, none beyond |z| = ln 11, and none to filters that are off", async () => {
    const module = randomize(new GaterNet({ ...options, channels: 4 }));
    setValues(module, "fc2.weight", 0);
    const logits = [-2.5, -1, 2, 2.5];
    setValues(module, "fc2.bias", logits);
    const graph = trace(
      (inputs: { x: Tensor; features: Tensor }) => {
        const total = sum(module.forward(inputs).y, { keepDims: false });
        const [dx, db] = gradients(total, [inputs.x, module.fc2.bias!]);
        return { dx: dx!, db: db! };
      },
      { x: { shape: [1, 4] }, features: { shape: [1, 5] } },
      { model: module },
    );
    const executable = await compile(graph);
    const { outputs } = await executable.run({
      x: floats([1, 4], [1, 1, 1, 1]),
      features: floats([1, 5], [1, 2, 3, 4, 5]),
    });
    await executable.close();
    expect(numbers(outputs.dx!)).toEqual([0, 0, 1, 1]);
    const slopes = logits.map((z) =>
      Math.abs(z) > Math.log(11) ? 0 : 1.2 / (2 + Math.exp(z) + Math.exp(-z)),
    );
    numbers(outputs.db!).forEach((slope, index) => {
      expect(slope).toBeCloseTo(slopes[index]!, 6);
    });
  });
});

describe("GaterNet in training", () => {
  /** Runs one training trace at several steps of the random inputs. */
  async function train(module: GaterNet, batch: number, steps: readonly number[], seed = 0) {
    const { x, features } = inputsOf(batch);
    const graph: Graph = trace(
      module,
      { x: { shape: x.shape }, features: { shape: features.shape } },
      { training: true },
    );
    const executable = await compile(
      { ...graph, outputs: new Map([...graph.outputs, ...selectTaps(graph, ["gates", "logits"])]) },
      { seed },
    );
    const results: Record<string, number[]>[] = [];
    for (const step of steps) {
      const { outputs } = await executable.run({ x, features }, { step });
      results.push(
        Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, numbers(value)])),
      );
    }
    await executable.close();
    return results;
  }

  it("gives a random half of the batch soft gates, another one each step, the same for the same seed", async () => {
    const module = randomize(new GaterNet(options));
    for (const [batch, half] of [
      [6, 3],
      [7, 4],
      [2, 1],
    ] as const) {
      const results = await train(module, batch, [0, 1, 2, 3, 4, 5]);
      const soft = results.map(({ gates }) =>
        rows(gates!, 6).map((row) => row.some((gate) => gate > 0 && gate < 1)),
      );
      // A soft sample whose six gates all saturate looks hard.
      for (const marks of soft) expect(marks.filter((mark) => mark).length).toBeLessThanOrEqual(half);
      expect(soft.some((marks) => marks.filter((mark) => mark).length === half)).toBe(true);
      expect(new Set(soft.map((marks) => marks.join())).size).toBeGreaterThan(1);
    }
    const again = await train(module, 6, [3, 3], 1);
    expect(again[0]).toEqual(again[1]);
    expect(again[0]).not.toEqual((await train(module, 6, [3], 2))[0]);
  });

  it("adds standard normal noise to the logits", async () => {
    const module = randomize(new GaterNet(options));
    setValues(module, "fc2.weight", 0);
    setValues(module, "fc2.bias", 0);
    const steps = Array.from({ length: 50 }, (_, step) => step);
    const logits = (await train(module, 8, steps)).flatMap((result) => result.logits!);
    const mean = logits.reduce((total, value) => total + value, 0) / logits.length;
    const variance = logits.reduce((total, value) => total + value * value, 0) / logits.length;
    expect(Math.abs(mean)).toBeLessThan(0.08);
    expect(Math.abs(variance - 1)).toBeLessThan(0.12);
  });

  it("gets sparser by descent on its sparsity", async () => {
    const module = randomize(new GaterNet(options));
    const bias = module.fc2.bias!;
    const batch = 6;
    const inputs = {
      ...inputsOf(batch),
      noise: image([batch, 6], "noise"),
      soft: { dtype: "bool", shape: [batch], data: Uint8Array.from([1, 0, 1, 0, 1, 0]) },
    } as const;
    const sparsity: number[] = [];
    for (let step = 0; step < 12; step++) {
      const types = Object.fromEntries(
        Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
      );
      const graph = trace(
        (leaves: Parameters<GaterNet["forward"]>[0]) => {
          const loss = sum(module.forward(leaves).sparsity, { keepDims: false });
          return { loss, gradient: gradients(loss, [bias])[0]! };
        },
        types,
        { training: true, model: module },
      );
      const executable = await compile(graph);
      const { outputs } = await executable.run(inputs);
      await executable.close();
      sparsity.push(Number(outputs.loss!.data[0]) / batch);
      const gradient = numbers(outputs.gradient!);
      bias.value = (bias.value as Float32Array).map((value, index) => value - 2 * gradient[index]!);
    }
    expect(sparsity[0]).toBeGreaterThan(0.3);
    expect(sparsity.at(-1)).toBeLessThan(0.5 * sparsity[0]!);
  });

  it("refuses a batch of one", () => {
    const types = { x: { shape: [1, 6, 2, 2] }, features: { shape: [1, 5] } };
    expect(() => trace(new GaterNet(options), types, { training: true })).toThrow(ShapeError);
    expect(() => trace(new GaterNet(options), types)).not.toThrow();
  });
});
