import { describe, expect, it } from "vitest";
import { Highway } from "../../../src/attention/branch/highway.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { Sequential } from "../../../src/nn/sequential.js";
import { gradients } from "../../../src/ops/gradients.js";
import { compile } from "../../../src/runtime/executable.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

/** Output, and gradient of sum(cotangent * output) to the input. */
async function outputAndGradient(model: Sequential, shape: readonly number[]) {
  const [x, dy] = [image(shape), image(shape, "cotangent")];
  const graph = trace(
    (inputs: { x: Tensor; dy: Tensor }) => {
      const y = model.forward(inputs.x);
      return { y, dx: gradients(y, [inputs.x], { cotangent: inputs.dy })[0]! };
    },
    { x: { shape }, dy: { shape } },
    { model },
  );
  const executable = await compile(graph);
  const { outputs } = await executable.run({ x, dy });
  await executable.close();
  return { x: numbers(x), dy: numbers(dy), y: numbers(outputs.y!), dx: numbers(outputs.dx!) };
}

/** Puts a bias on every gate. */
function withGateBias(model: Highway, value: number): Highway {
  randomize(model);
  model.gate.bias!.value = new Float32Array(model.options.channels).fill(value);
  return model;
}

describe("highway layer", () => {
  it("with a closed gate passes input and gradient unchanged", async () => {
    for (const [options, shape] of [
      [{ channels: 6 }, [3, 2, 6]],
      [{ channels: 4, kind: "conv" }, [2, 4, 5, 3]],
    ] as const) {
      const { x, y, dx, dy } = await outputAndGradient(
        new Sequential(withGateBias(new Highway(options), -200)),
        shape,
      );
      expect(y).toEqual(x);
      expect(dx).toEqual(dy);
    }
  });

  it("with an open gate is a plain layer", async () => {
    const module = withGateBias(new Highway({ channels: 6 }), 200);
    const x = image([3, 6]);
    const plain = await run(new Sequential(module.transform), x);
    const y = numbers((await run(module, x)).outputs.y!);
    expect(y).toEqual(numbers(plain.outputs.y!).map((value) => Math.max(value, 0)));
  });

  it("lets the gradient through a stack of 50 layers, where it vanishes in 50 plain ones", async () => {
    const stack = (gateBias: number) => {
      const layers = Array.from({ length: 50 }, () => new Highway({ channels: 16, gateBias }));
      const model = new Sequential(...layers);
      initialize(model);
      return model;
    };
    const norm = (values: readonly number[]) => Math.hypot(...values);
    const carried = await outputAndGradient(stack(-3), [4, 16]);
    const plain = await outputAndGradient(stack(200), [4, 16]);
    expect(norm(carried.dx)).toBeGreaterThan(0.01 * norm(carried.dy));
    expect(norm(plain.dx)).toBeLessThan(1e-6 * norm(plain.dy));
  });

  it("starts with the given gate bias", () => {
    const module = new Highway({ channels: 5, gateBias: -2.5 });
    initialize(module);
    expect(new Set(module.gate.bias!.value as Float32Array)).toEqual(new Set([-2.5]));
    expect(new Set(module.transform.bias!.value as Float32Array).size).toBeGreaterThan(1);
  });

  it("computes the gate from its input, whatever the transform", async () => {
    const module = randomize(new Highway({ channels: 5 }));
    const gate = async () => numbers((await run(module, image([2, 5]), { taps: ["gate"] })).taps.gate!);
    const before = await gate();
    module.transform.weight.value = new Float32Array(25).fill(3);
    expect(distance(before, await gate())).toBe(0);
  });

  it("refuses another number of channels, and a vector", () => {
    const module = new Highway({ channels: 5 });
    for (const shape of [[2, 6], [5], [2, 5, 4]]) expect(() => trace(module, { shape })).toThrow(ShapeError);
    expect(() => trace(new Highway({ channels: 5, kind: "conv" }), { shape: [2, 5] })).toThrow(ShapeError);
    expect(trace(module, { shape: [2, 3, 4, 5] }).outputs.get("y")!.shape).toEqual([2, 3, 4, 5]);
  });
});
