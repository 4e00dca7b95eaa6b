import { afterEach, describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { DataError, FoveaError, ShapeError } from "../../src/base/errors.js";
import { type HostFunction, hostCall } from "../../src/graph/host-call.js";
import { type Graph, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { buffer, constantValue, parameter, update } from "../../src/nn/variables.js";
import { exportOnnx } from "../../src/onnx/export.js";
import { add, mul } from "../../src/ops/arithmetic.js";
import { gradients } from "../../src/ops/gradients.js";
import { dropout } from "../../src/ops/random.js";
import { mean, sum } from "../../src/ops/reduce.js";
import { graphCost } from "../../src/report/cost.js";
import { compile, type Executable } from "../../src/runtime/executable.js";
import { run } from "../../src/runtime/run.js";
import { numbers } from "../ops/evaluate.js";
import { floats } from "../train/helpers.js";

const open: Executable[] = [];
afterEach(async () => {
  for (const executable of open.splice(0)) await executable.close();
});

async function load(graph: Graph, seed = 0): Promise<Executable> {
  const executable = await compile(graph, { seed });
  open.push(executable);
  return executable;
}

const x = floats([2, 3], [3, 1, 2, -4, 0, 5]);

/** Sorts rows: no operator does. */
const sorted: HostFunction = ({ rows }) => {
  const [count, width] = rows!.shape as [number, number];
  const data = Float32Array.from(rows!.data as Float32Array);
  for (let row = 0; row < count; row++) data.subarray(row * width, (row + 1) * width).sort();
  return { sorted: { ...rows!, data } };
};

function sortRows(rows: Tensor, fn: HostFunction = sorted): Tensor {
  return hostCall(fn, { rows }, { sorted: { shape: rows.shape } }).sorted;
}

describe("hostCall", () => {
  it("computes what the host takes, and goes on with what it gives", async () => {
    const { outputs } = await run((input: Tensor) => add(mul(sortRows(mul(input, 2)), 10), input), x);
    expect(numbers(outputs.y!)).toEqual([23, 41, 62, -84, 0, 105]);
  });

  it("awaits asynchronous functions", async () => {
    const later: HostFunction = async (tensors) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return sorted(tensors);
    };
    const { outputs } = await run((input: Tensor) => sortRows(input, later), x);
    expect(numbers(outputs.y!)).toEqual([1, 2, 3, -4, 0, 5]);
  });

  it("makes several calls in the order in which they depend on each other", async () => {
    const seen: number[][] = [];
    const shifted: HostFunction = ({ values }) => {
      seen.push(numbers(values!));
      return { shifted: { ...values!, data: (values!.data as Float32Array).map((value) => value + 1) } };
    };
    const shift = (values: Tensor) =>
      hostCall(shifted, { values }, { shifted: { shape: values.shape } }).shifted;
    const { outputs } = await run((input: Tensor) => {
      const first = shift(input);
      const second = shift(mul(first, 2));
      return { second, both: add(first, second) };
    }, x);
    expect(seen).toEqual([
      [3, 1, 2, -4, 0, 5],
      [8, 4, 6, -6, 2, 12],
    ]);
    expect(numbers(outputs.second!)).toEqual([9, 5, 7, -5, 3, 13]);
    expect(numbers(outputs.both!)).toEqual([13, 7, 10, -8, 4, 19]);
  });

  it("is not made where nothing depends on it", async () => {
    const never: HostFunction = () => {
      throw new Error("called");
    };
    const { outputs } = await run((input: Tensor) => {
      sortRows(input, never);
      return mul(input, 2);
    }, x);
    expect(numbers(outputs.y!)).toEqual([6, 2, 4, -8, 0, 10]);
  });

  it("gives results of a size and dtype of its own", async () => {
    const positives: HostFunction = ({ values }) => {
      const found = numbers(values!).flatMap((value, index) => (value > 0 ? [BigInt(index)] : []));
      return { places: { dtype: "int64", shape: [found.length], data: BigInt64Array.from(found) } };
    };
    const find = (values: Tensor) =>
      hostCall(positives, { values }, { places: { shape: [batch], dtype: "int64" } }).places;
    const { outputs } = await run(find, x);
    expect(outputs.y).toEqual({ dtype: "int64", shape: [4], data: BigInt64Array.of(0n, 1n, 2n, 5n) });
  });

  it("sees the same random numbers before and after", async () => {
    const graph = trace(
      (input: Tensor) => {
        const dropped = dropout(input, { rate: 0.5, stream: "drop" });
        return {
          host: hostCall((t) => t, { dropped }, { dropped: { shape: input.shape } }).dropped,
          dropped,
        };
      },
      { shape: [8, 8] },
      { training: true },
    );
    const executable = await load(graph, 7);
    const ones = floats([8, 8], Array(64).fill(1));
    const first = await executable.run({ x: ones });
    const second = await executable.run({ x: ones });
    expect(first.outputs.host).toEqual(first.outputs.dropped);
    expect(second.outputs.host).toEqual(second.outputs.dropped);
    expect(second.outputs.host).not.toEqual(first.outputs.host);
  });

  it("sees the buffers as they are at the call, and updates them once", async () => {
    class Counter extends Module {
      readonly count = buffer([1], constantValue(1));

      forward(input: Tensor): Record<string, Tensor> {
        update(this.count, add(this.count, 1));
        const { before } = hostCall((t) => t, { before: this.count }, { before: { shape: [1] } });
        update(this.count, add(this.count, before));
        return { y: mul(input, before) };
      }
    }
    const { outputs, updates } = await run(new Counter(), floats([1], [10]), { training: true });
    expect(numbers(outputs.y!)).toEqual([20]);
    expect(numbers(updates.count!)).toEqual([4]);
  });

  it("has no gradient", async () => {
    const result = await run((input: Tensor) => {
      const loss = sum(mul(sortRows(mul(input, 3)), input), { keepDims: false });
      return { gradient: gradients(loss, [input])[0]! };
    }, x);
    expect(numbers(result.outputs.gradient!)).toEqual([3, 6, 9, -12, 0, 15]);
  });

  it("finds the variables that only the host sees", async () => {
    const weight = parameter([3], constantValue(2));
    const { outputs } = await run((input: Tensor) => sortRows(mul(input, weight)), x);
    expect(numbers(outputs.y!)).toEqual([2, 4, 6, -8, 0, 10]);
  });

  it("counts the cost of what the host takes", () => {
    const layer = new Linear({ inFeatures: 3, outFeatures: 4 });
    const graph = trace((input: Tensor) => sortRows(layer.forward(input)), { shape: [2, 3] });
    expect(graphCost(graph.outputs.values()).macs).toBe(2 * 3 * 4);
  });

  it("refuses results that are not as declared", async () => {
    const giving = (result: Record<string, HostTensor>) =>
      run((input: Tensor) => mean(sortRows(input, () => result)), x);
    await expect(giving({})).rejects.toThrow(DataError);
    await expect(giving({})).rejects.toThrow("must give sorted; found nothing");
    await expect(giving({ other: x })).rejects.toThrow("found other");
    await expect(giving({ sorted: floats([3, 2], [1, 2, 3, 4, 5, 6]) })).rejects.toThrow(ShapeError);
    await expect(giving({ sorted: floats([2, 3], [1]) })).rejects.toThrow("with 1 elements");
  });

  it("passes on what the function throws", async () => {
    const failing: HostFunction = async () => {
      throw new RangeError("no such row");
    };
    await expect(run((input: Tensor) => sortRows(input, failing), x)).rejects.toThrow("no such row");
  });

  it("cannot be exported, and is only possible in a trace", () => {
    class Sorting extends Module {
      forward(input: Tensor): Tensor {
        return sortRows(input);
      }
    }
    class Outer extends Module {
      readonly inner = new Sorting();
      forward(input: Tensor): Tensor {
        return this.inner.forward(input);
      }
    }
    const graph = trace(new Outer(), { shape: [2, 3] });
    expect(() => exportOnnx(graph)).toThrow(FoveaError);
    expect(() => exportOnnx(graph)).toThrow(/hostCall \(in inner\).*export what comes before/);
    expect(() => sortRows(graph.inputs.get("x")!)).toThrow(
      "hostCall is only possible while a model is traced",
    );
  });
});
