import { describe, expect, it } from "vitest";
import { CondConv } from "../../../src/attention/branch/cond-conv.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, trace } from "../../../src/graph/model.js";
import { Conv2d } from "../../../src/nn/conv.js";
import { run } from "../../../src/runtime/run.js";
import { floats, numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, setValues } from "../images.js";

const external = { channels: 4, outChannels: 6, bias: true, experts: 3, routing: "external" } as const;

function part(values: readonly number[], index: number, count: number): number[] {
  const length = values.length / count;
  return values.slice(index * length, (index + 1) * length);
}

function valuesOf(module: CondConv, name: "weight" | "bias"): number[] {
  return Array.from(module[name]!.value as Float32Array);
}

describe("conditionally parameterized convolution", () => {
  it("is the weighted sum of the experts' own outputs, as ordinary convolutions", async () => {
    const module = randomize(new CondConv({ ...external, groups: 2, stride: 2 }));
    const x = image([2, 4, 5, 6]);
    const routing = floats([2, 3], [0.2, 1.5, -0.7, 0.9, 0, 2]);
    const mixed = numbers((await run(module, { x, routing })).outputs.y!);
    const sum = mixed.map(() => 0);
    for (const expert of [0, 1, 2]) {
      const conv = new Conv2d({ inChannels: 4, outChannels: 6, kernel: 3, groups: 2, stride: 2, padding: 1 });
      setValues(conv, "weight", part(valuesOf(module, "weight"), expert, 3));
      setValues(conv, "bias", part(valuesOf(module, "bias"), expert, 3));
      const own = numbers((await run(conv, x)).outputs.y!);
      for (const [index, value] of own.entries()) {
        sum[index]! += Number(routing.data[Math.floor(index / (own.length / 2)) * 3 + expert]) * value;
      }
    }
    expect(distance(mixed, sum)).toBeLessThan(1e-5);
  });

  it("gives each sample its own kernel: permuting samples permutes the outputs", async () => {
    const module = randomize(new CondConv({ channels: 4, outChannels: 5 }));
    const x = image([2, 4, 4, 3]);
    const swapped = floats(x.shape, [...part(numbers(x), 1, 2), ...part(numbers(x), 0, 2)]);
    const y = numbers((await run(module, x)).outputs.y!);
    const other = numbers((await run(module, swapped)).outputs.y!);
    expect(distance(other, [...part(y, 1, 2), ...part(y, 0, 2)])).toBeLessThan(1e-6);
    const { taps } = await run(module, x, { taps: ["routing"] });
    expect(distance(part(numbers(taps.routing!), 0, 2), part(numbers(taps.routing!), 1, 2))).toBeGreaterThan(
      1e-3,
    );
  });

  it("pads as TensorFlow does, by half the kernel, or not", () => {
    const sizeOf = (options: object, height: number, width: number) => {
      const module = new CondConv({ channels: 2, outChannels: 2, ...options });
      return trace(module, { shape: [1, 2, height, width] })
        .outputs.get("y")!
        .shape.slice(2);
    };
    for (const [height, width, stride, kernelSize, dilation] of [
      [7, 8, 2, 3, 1],
      [5, 9, 3, 2, 2],
      [4, 6, 1, 4, 1],
    ] as const) {
      const options = { stride, kernelSize, dilation };
      const expected = [Math.ceil(height / stride), Math.ceil(width / stride)];
      expect(sizeOf({ ...options, padding: "same" }, height, width)).toEqual(expected);
    }
    expect(sizeOf({ kernelSize: 5, dilation: 2 }, 7, 6)).toEqual([7, 6]);
    expect(sizeOf({ kernelSize: 4, stride: 2, padding: "auto" }, 8, 6)).toEqual([5, 4]);
    expect(sizeOf({ padding: "valid" }, 8, 6)).toEqual([6, 4]);
    expect(sizeOf({ padding: 2 }, 8, 6)).toEqual([10, 8]);
  });

  it("puts the odd element of 'same' at the end", async () => {
    const module = new CondConv({
      channels: 1,
      outChannels: 1,
      kernelSize: 2,
      padding: "same",
      experts: 1,
      routing: "external",
    });
    setValues(module, "weight", [1, 10, 100, 1000]);
    const { outputs } = await run(module, {
      x: floats([1, 1, 2, 2], [1, 2, 3, 4]),
      routing: floats([1, 1], [1]),
    });
    expect(numbers(outputs.y!)).toEqual([4321, 402, 43, 4]);
  });

  it("costs one convolution: more experts add mixing only", () => {
    const { about } = CondConv;
    const options = { ...new CondConv({ channels: 64, outChannels: 64, routing: "external" }).options };
    const sizes = { batch: 1, height: 56, width: 56 };
    const [one, eight] = [1, 8].map((experts) => about.macs({ ...options, experts }, sizes)) as [
      number,
      number,
    ];
    expect(eight - one).toBe(7 * 64 * 64 * 9);
    expect(eight / one).toBeLessThan(1.01);
  });

  it("starts each expert like an ordinary convolution", () => {
    const module = new CondConv({ channels: 8, outChannels: 16, groups: 2, bias: true });
    initialize(module);
    const bound = 1 / Math.sqrt(4 * 9);
    for (const expert of [0, 1, 2, 3]) {
      const values = part(valuesOf(module, "weight"), expert, 4);
      const largest = Math.max(...values.map(Math.abs));
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThan(0.98 * bound);
    }
    expect(Math.max(...valuesOf(module, "bias").map(Math.abs))).toBeLessThanOrEqual(bound);
  });

  it("refuses a missing, superfluous or mis-shaped routing", () => {
    const x = { shape: [2, 4, 5, 5] };
    const shared = new CondConv(external);
    expect(() => trace(shared, { x })).toThrow("input routing must be float32 [batch, 3], found none");
    expect(() => trace(shared, { x, routing: { shape: [2, 4] } })).toThrow(ShapeError);
    expect(() => trace(shared, { x, routing: { shape: [3, 3] } })).toThrow(ShapeError);
    const own = new CondConv({ channels: 4, outChannels: 6 });
    expect(() => trace(own, { x, routing: { shape: [2, 4] } })).toThrow(ShapeError);
  });
});
