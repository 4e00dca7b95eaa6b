import { describe, expect, it } from "vitest";
import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { initialize, namedVariables, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import { ConvTranspose2d } from "../../src/nn/conv-transpose.js";
import { run } from "../../src/runtime/run.js";

const floats = (shape: readonly number[], values: Iterable<number>): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

async function through(layer: ConvTranspose2d, weight: readonly number[], x: HostTensor): Promise<number[]> {
  layer.weight.value = Float32Array.from(weight);
  layer.bias.value = new Float32Array(layer.bias.shape[0]! as number).fill(0.5);
  return [...(await run(layer, x)).outputs.y!.data].map(Number);
}

describe("ConvTranspose2d", () => {
  it("puts a kernel at each pixel", async () => {
    const layer = new ConvTranspose2d({ inChannels: 1, outChannels: 1, kernel: 2, stride: 2 });
    const y = await through(layer, [1, 10, 100, 1000], floats([1, 1, 1, 2], [1, 2]));
    expect(y).toEqual([1.5, 10.5, 2.5, 20.5, 100.5, 1000.5, 200.5, 2000.5]);
  });

  it("adds up where kernels overlap, cuts off what is padding, and sums over the channels", async () => {
    const layer = new ConvTranspose2d({ inChannels: 2, outChannels: 1, kernel: 3, stride: 2, padding: 1 });
    const kernel = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const y = await through(
      layer,
      [...kernel, ...kernel.map((value) => 10 * value)],
      floats([1, 2, 1, 2], [1, 1, 0, 1]),
    );
    // The middle row is 4, 5, 6 + 4 + 40, 5 + 50, 6 + 60 before the outer columns are cut off.
    expect(y).toEqual([5, 50, 55].map((value) => value + 0.5));
  });

  it("is initialized within PyTorch's bound, and takes any batch", () => {
    const layer = new ConvTranspose2d({ inChannels: 6, outChannels: 4, kernel: 2, stride: 2 });
    initialize(layer);
    const bound = 1 / Math.sqrt(4 * 2 * 2);
    for (const [name, { shape, value }] of namedVariables(layer)) {
      expect(value.length, name).toBe(elementCount(shape));
      const largest = Math.max(...Array.from(value as Float32Array, Math.abs));
      expect(largest, name).toBeLessThanOrEqual(bound);
      expect(largest, name).toBeGreaterThan(bound / 3);
    }
    expect(layer.weight.shape).toEqual([6, 4, 2, 2]);
    const { outputs } = trace(layer, { shape: [batch, 6, 3, 5] });
    expect([...outputs.values()][0]?.shape).toEqual([batch, 4, 6, 10]);
  });
});
