import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { FormatError } from "../../src/base/errors.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { ModelBuilder } from "../../src/onnx/builder.js";
import { emitModel } from "../../src/onnx/emit.js";
import { add, greater, mul, relu, sqrt, sub } from "../../src/ops/index.js";
import { nodeRuntime } from "../../src/runtime/node.js";

const cpu: Target = { kind: "cpu", opset: 21 };
const runtime = nodeRuntime();

const floats = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Outputs of a guarded model over two vectors, for several values of `switch`. */
async function results(
  guarded: (x: Tensor, w: Tensor) => { outputs: Record<string, Tensor>; otherwise: Record<string, Tensor> },
  values: readonly number[],
): Promise<Record<string, number[]>[]> {
  const [x, w, onOff] = [input("x", [3]), input("w", [3]), input("switch", [])];
  const { outputs, otherwise } = guarded(x, w);
  const { bytes } = emitModel({
    target: cpu,
    inputs: new Map([
      ["x", x],
      ["w", w],
      ["switch", onOff],
    ]),
    variables: new Map(),
    variablesAs: "inputs",
    outputs: new Map(Object.entries(outputs)),
    guard: { condition: greater(onOff, 0), otherwise: new Map(Object.entries(otherwise)) },
    producerVersion: "0",
  });
  const session = await runtime.createSession(bytes);
  const found: Record<string, number[]>[] = [];
  for (const value of values) {
    const tensors = await session.run({
      x: floats(1, 4, 9),
      w: floats(1, -2, 3),
      switch: { dtype: "float32", shape: [], data: Float32Array.of(value) },
    });
    found.push(
      Object.fromEntries(
        Object.entries(tensors).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
      ),
    );
  }
  await session.close();
  return found;
}

describe("guarded outputs", () => {
  it("get new values only where the condition holds; other outputs always", async () => {
    const [on, off, onAgain] = await results(
      (x, w) => {
        const sum = add(x, w);
        return { outputs: { sum, next: sub(w, mul(sum, 0.5)) }, otherwise: { next: w } };
      },
      [1, -1, 2],
    );
    expect(on).toEqual({ sum: [2, 2, 12], next: [0, -3, -3] });
    expect(off).toEqual({ sum: [2, 2, 12], next: [1, -2, 3] });
    expect(onAgain).toEqual(on);
  });

  it("may share a value, be one that is computed before, or an input", async () => {
    const [on, off] = await results(
      (x, w) => {
        const root = sqrt(x);
        const next = relu(sub(w, root));
        return {
          outputs: { root, same: root, next, twice: next, input: x },
          otherwise: { same: w, next: x, twice: w, input: w },
        };
      },
      [1, -1],
    );
    expect(on).toEqual({
      root: [1, 2, 3],
      same: [1, 2, 3],
      next: [0, 0, 0],
      twice: [0, 0, 0],
      input: [1, 4, 9],
    });
    expect(off).toEqual({
      root: [1, 2, 3],
      same: [1, -2, 3],
      next: [1, 4, 9],
      twice: [1, -2, 3],
      input: [1, -2, 3],
    });
  });

  it("need values that are there", () => {
    const builder = new ModelBuilder(cpu);
    const condition = builder.input("c", "bool", []);
    expect(() => builder.guard({ condition, otherwise: new Map([["y", "nowhere"]]) })).toThrow(FormatError);
  });
});
