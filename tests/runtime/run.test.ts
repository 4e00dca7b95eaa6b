import { afterAll, describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { DeviceError, OptionError, ShapeError } from "../../src/base/errors.js";
import { initialize, namedVariables, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Dropout } from "../../src/nn/dropout.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { buffer, constantValue, parameter, read, update } from "../../src/nn/variables.js";
import {
  adaptiveAveragePool2d,
  add,
  exp,
  maxPool,
  mean,
  mul,
  noise,
  relu,
  reshape,
  sum,
} from "../../src/ops/index.js";
import { compile } from "../../src/runtime/executable.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { release, run } from "../../src/runtime/run.js";
import type { Runtime } from "../../src/runtime/types.js";
import { floats, numbers, relativeError, vector } from "../ops/evaluate.js";
import { sampleValues } from "../ops/sample-values.js";

class Net extends Module {
  readonly conv = new Conv2d({ inChannels: 3, outChannels: 4, kernel: 3, padding: 1 });
  readonly bn = new BatchNorm({ channels: 4 });
  readonly fc = new Linear({ inFeatures: 16, outFeatures: 5 });

  forward(x: Tensor): Tensor {
    const h = this.tap("features", relu(this.bn.forward(this.conv.forward(x))));
    const pooled = adaptiveAveragePool2d(maxPool(h, { kernel: [2, 2], stride: 2 }), [2, 2]);
    return this.fc.forward(reshape(pooled, { shape: [-1, 16] }));
  }
}

/** A network with running statistics that are not the initial ones. */
function trainedNet(): Net {
  const net = new Net();
  initialize(net, { seed: 3 });
  net.bn.runningMean.value = Float32Array.of(0.1, -0.2, 0.3, 0);
  net.bn.runningVar.value = Float32Array.of(0.5, 2, 1, 1.5);
  return net;
}

const images = (count: number): HostTensor =>
  sampleValues([{ shape: [count, 3, 7, 6] }], "smooth", `images ${count}`)[0]!;

describe("a symbolic batch", () => {
  it("gives what concrete traces give, for every size", async () => {
    const net = trainedNet();
    const symbolic = await compile(trace(net, { shape: [batch, 3, 7, 6] }), { taps: ["features"] });
    for (const count of [1, 3, 5]) {
      const x = images(count);
      const found = await symbolic.run({ x });
      const concrete = await compile(trace(net, { shape: [count, 3, 7, 6] }), { taps: ["features"] });
      const expected = await concrete.run({ x });
      await concrete.close();
      expect(found.outputs.y!.shape).toEqual([count, 5]);
      expect(found.taps.features!.shape).toEqual([count, 4, 7, 6]);
      expect(relativeError(found.outputs.y!, expected.outputs.y!)).toBeLessThan(1e-6);
      expect(relativeError(found.taps.features!, expected.taps.features!)).toBeLessThan(1e-6);
    }
    // Samples do not see each other.
    const x = images(3);
    const all = numbers((await symbolic.run({ x })).outputs.y!);
    const last = await symbolic.run({ x: floats([1, 3, 7, 6], numbers(x).slice(2 * 126)) });
    for (const [index, value] of numbers(last.outputs.y!).entries())
      expect(all[10 + index]).toBeCloseTo(value, 5);
    await symbolic.close();
  });
});

describe("compile", () => {
  it("returns outputs, taps that were asked for, and updates by path", async () => {
    class Counter extends Module {
      readonly inner = new BatchNorm({ channels: 2 });
      forward(x: Tensor): { doubled: Tensor; y: Tensor } {
        this.tap("a.x", x);
        this.tap("b", mul(x, 3));
        return { doubled: mul(x, 2), y: this.inner.forward(x) };
      }
    }
    const graph = trace(new Counter(), { shape: [2, 2] }, { training: true });
    const plain = await compile(graph);
    const x = floats([2, 2], [1, 2, 3, 4]);
    const result = await plain.run({ x });
    expect(Object.keys(result.outputs)).toEqual(["doubled", "y"]);
    expect(result.taps).toEqual({});
    expect(Object.keys(result.updates)).toEqual(["inner.runningMean", "inner.runningVar"]);
    await plain.close();
    const tapped = await compile(graph, { taps: ["*"] });
    expect(tapped.nodeCount).toBe(plain.nodeCount + 1);
    expect(Object.keys((await tapped.run({ x })).taps)).toEqual(["a.x", "b"]);
    await tapped.close();
    await expect(compile(graph, { taps: ["b", "a.y"] })).rejects.toThrow(
      new OptionError('no tap fits "a.y"; the model has a.x, b'),
    );
  });

  it("refuses unknown and missing inputs, other shapes and dtypes, and runs after close", async () => {
    const graph = trace(({ a, b }: Record<"a" | "b", Tensor>) => add(a, b), {
      a: { shape: [2] },
      b: { shape: [2] },
    });
    const executable = await compile(graph);
    const a = vector(1, 2);
    await expect(executable.run({ a })).rejects.toThrow(new OptionError("inputs must be a, b; found a"));
    await expect(executable.run({})).rejects.toThrow(new OptionError("inputs must be a, b; found none"));
    await expect(executable.run({ a, b: a, c: a })).rejects.toThrow("inputs must be a, b; found a, b, c");
    await expect(executable.run({ a, b: vector(1, 2, 3) })).rejects.toThrow(ShapeError);
    const int64: HostTensor = { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 2n) };
    await expect(executable.run({ a, b: int64 })).rejects.toThrow(ShapeError);
    expect(numbers((await executable.run({ a, b: a })).outputs.y!)).toEqual([2, 4]);
    await executable.close();
    await executable.close();
    await expect(executable.run({ a, b: a })).rejects.toThrow(DeviceError);
  });

  it("draws noise by seed, stream and step", async () => {
    const graph = trace(
      (x: Tensor) => ({
        first: add(x, noise([4], { distribution: "normal", stream: "n" })),
        second: add(x, noise([4], { distribution: "normal", stream: "n" })),
      }),
      { shape: [4] },
    );
    expect(graph.noise.map(({ stream }) => stream)).toEqual(["n", "n#2"]);
    const x = vector(0, 0, 0, 0);
    const drawn = async (seed: number, steps: (number | undefined)[]) => {
      const executable = await compile(graph, { seed });
      const results: number[][] = [];
      for (const step of steps) {
        const { outputs } = await executable.run({ x }, step === undefined ? {} : { step });
        results.push(numbers(outputs.first!), numbers(outputs.second!));
      }
      await executable.close();
      return results;
    };
    const counted = await drawn(1, [undefined, undefined]);
    expect(new Set(counted.map(String)).size).toBe(4);
    expect(await drawn(1, [0, 1])).toEqual(counted);
    expect(await drawn(1, [1])).toEqual(counted.slice(2));
    expect(await drawn(2, [0, 1])).not.toEqual(counted);
  });

  it("takes variables and updates of a function without a model", async () => {
    const scale = parameter([2], constantValue(3));
    const seen = buffer([2], constantValue(1));
    const last = buffer([2], constantValue(0));
    const decay = parameter([2], constantValue(0.5));
    const graph = trace(
      (x: Tensor) => {
        // One is not read, and one reads what no output does.
        update(last, x);
        update(seen, add(mul(read(seen), decay), x));
        return mul(x, scale);
      },
      { shape: [2] },
    );
    const executable = await compile(graph);
    const { outputs, updates } = await executable.run({ x: vector(1, 2) });
    await executable.close();
    expect(numbers(outputs.y!)).toEqual([3, 6]);
    // Numbered in the order of their creation.
    expect(Object.keys(updates)).toEqual(["variable2", "variable1"]);
    expect(Object.values(updates).map(numbers)).toEqual([
      [1, 2],
      [1.5, 2.5],
    ]);
  });
});

describe("run", () => {
  /** Counts the sessions that are made and closed. */
  let [created, closed] = [0, 0];
  const inner = nodeRuntime();
  const runtime: Runtime = {
    info: () => inner.info(),
    resolveDevice: (request) => inner.resolveDevice(request),
    channelBlock: (device) => inner.channelBlock(device),
    createState: (values) => inner.createState(values),
    createSession: async (model, options) => {
      created++;
      const session = await inner.createSession(model, options);
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        placedOn: session.placedOn,
        threads: session.threads,
        placement: () => session.placement(),
        run: (...args) => session.run(...args),
        step: (...args) => session.step(...args),
        close: () => {
          closed++;
          return session.close();
        },
      };
    },
  };
  const start = () => {
    [created, closed] = [0, 0];
  };

  it("compiles once per input shape and option", async () => {
    start();
    const net = trainedNet();
    const first = await run(net, images(2), { runtime });
    expect(await run(net, images(2), { runtime })).toEqual(first);
    expect(created).toBe(1);
    await run(net, images(1), { runtime });
    const tapped = await run(net, images(2), { runtime, taps: ["feat*"] });
    expect(Object.keys(tapped.taps)).toEqual(["features"]);
    await run(net, images(2), { runtime, training: true });
    expect([created, closed]).toEqual([4, 0]);
    await release(net);
    expect([created, closed]).toEqual([4, 4]);
  });

  it("keeps the eight that were used last", async () => {
    start();
    const body = (x: Tensor) => exp(x);
    const of = (count: number) => run(body, floats([count], Array(count).fill(0)), { runtime });
    for (let count = 1; count <= 8; count++) await of(count);
    await of(1);
    await of(9);
    expect([created, closed]).toEqual([9, 1]);
    await of(1);
    expect(created).toBe(9);
    await of(2);
    expect([created, closed]).toEqual([10, 2]);
    await release(body);
    expect(closed).toBe(10);
  });

  it("notices weights that were loaded or trained, and parts that were replaced", async () => {
    start();
    const net = new Linear({ inFeatures: 1, outFeatures: 1, bias: false });
    net.weight.value = Float32Array.of(2);
    const holder = { net };
    const model = new (class extends Module {
      part = holder.net;
      forward(x: Tensor): Tensor {
        return this.part.forward(x);
      }
    })();
    const closure = (x: Tensor) => holder.net.forward(x);
    const values = async () => [
      numbers((await run(model, floats([1, 1], [10]), { runtime })).outputs.y!)[0],
      numbers((await run(closure, floats([1, 1], [10]), { runtime })).outputs.y!)[0],
    ];
    expect(await values()).toEqual([20, 20]);
    net.weight.value = Float32Array.of(3);
    expect(await values()).toEqual([30, 30]);
    expect([created, closed]).toEqual([4, 2]);
    model.part = new Linear({ inFeatures: 1, outFeatures: 1, bias: false });
    model.part.weight.value = Float32Array.of(4);
    expect((await values())[0]).toBe(40);
    await release(model);
    await release(closure);
    expect(closed).toBe(created);
  });

  it("keeps one executable per key where calls come at once, and closes every other", async () => {
    start();
    const net = new Linear({ inFeatures: 1, outFeatures: 1, bias: false });
    net.weight.value = Float32Array.of(2);
    const at = async () => numbers((await run(net, floats([1, 1], [10]), { runtime })).outputs.y!)[0];
    expect(await Promise.all([at(), at(), at()])).toEqual([20, 20, 20]);
    expect(created).toBe(1);
    net.weight.value = Float32Array.of(3);
    expect(await Promise.all([at(), at()])).toEqual([30, 30]);
    expect([created, closed]).toEqual([2, 1]);
    await release(net);
    expect(closed).toBe(2);
  });

  it("tries again after a failure", async () => {
    start();
    const body = (x: Tensor) => mean(x, { keepDims: false });
    const x = vector(1, 3);
    let failures = 1;
    const flaky: Runtime = {
      ...runtime,
      createSession: (...args) =>
        failures-- > 0 ? Promise.reject(new DeviceError("no device")) : runtime.createSession(...args),
    };
    await expect(run(body, x, { runtime: flaky })).rejects.toThrow(new DeviceError("no device"));
    expect(numbers((await run(body, x, { runtime: flaky })).outputs.y!)).toEqual([2]);
    await release(body);
    expect([created, closed]).toEqual([1, 1]);
  });

  it("passes several inputs as one object, and calls other methods", async () => {
    class Both extends Module {
      static override readonly calls = ["forward", "loss"];
      forward({ a, b }: { a: Tensor; b: Tensor }): Tensor {
        return mul(a, b);
      }
      loss({ a }: { a: Tensor }): Tensor {
        return sum(a, { keepDims: false });
      }
    }
    const model = new Both();
    const inputs = { a: vector(1, 2), b: vector(3, 4) };
    expect(numbers((await run(model, inputs)).outputs.y!)).toEqual([3, 8]);
    expect(numbers((await run(model, { a: inputs.a }, { call: "loss" })).outputs.y!)).toEqual([3]);
    await expect(run(model, inputs, { call: "backward" })).rejects.toThrow("model has no method backward");
    await release(model);
  });

  it("returns updates and does not write them back", async () => {
    const bn = new BatchNorm({ channels: 1 });
    const { updates } = await run(bn, floats([2, 1], [1, 3]), { training: true });
    expect(numbers(updates.runningMean!)[0]).toBeCloseTo(0.2, 6);
    expect(bn.runningMean.value).toEqual(Float32Array.of(0));
    await release(bn);
  });

  const kept: Module[] = [];
  afterAll(() => Promise.all(kept.map(release)));

  it("draws other noise in each call, and the same in the same order", async () => {
    const draw = async () => {
      const model = new Dropout({ rate: 0.5 });
      kept.push(model);
      const x = floats([32], Array(32).fill(1));
      const results: number[][] = [];
      for (let call = 0; call < 2; call++) {
        results.push(numbers((await run(model, x, { training: true })).outputs.y!));
      }
      expect(namedVariables(model).size).toBe(0);
      return results;
    };
    const first = await draw();
    expect(first[0]).not.toEqual(first[1]);
    expect(await draw()).toEqual(first);
  });
});
