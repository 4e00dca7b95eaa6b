import { describe, expect, it } from "vitest";
import { SelectiveKernel } from "../../../src/attention/branch/sk.js";
import { ShapeError } from "../../../src/base/errors.js";
import { namedVariables } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize } from "../images.js";

describe("selective kernel convolution", () => {
  it("does not depend on the attention where its branches are equal", async () => {
    const x = image([2, 4, 5, 6]);
    const module = randomize(new SelectiveKernel({ inChannels: 4, kernelSizes: [3, 3], splitInput: false }));
    const variables = namedVariables(module);
    for (const [path, variable] of variables) {
      if (path.startsWith("paths.1.")) variable.value = variables.get(path.replace("1", "0"))!.value.slice();
    }
    const before = numbers((await run(module, x)).outputs.y!);
    const select = module.attn.fcSelect.weight;
    select.value = Float32Array.from([...select.value].map((value, index) => Number(value) + (index % 7)));
    expect(distance(numbers((await run(module, x)).outputs.y!), before)).toBeLessThan(1e-5);
  });

  it("sees 5 x 5 pixels with 9 of 25 weights where a kernel of 5 is a dilated one of 3", async () => {
    const shapes = [true, false].map((keep3x3) => {
      const module = new SelectiveKernel({ inChannels: 2, kernelSizes: [5], keep3x3 });
      return module.paths[0]!.conv.weight.shape;
    });
    expect(shapes).toEqual([
      [2, 2, 3, 3],
      [2, 2, 5, 5],
    ]);
    // One branch has attention 1 wherever one looks.
    const module = randomize(new SelectiveKernel({ inChannels: 2, kernelSizes: [5] }));
    module.paths[0]!.bn.bias.value = Float32Array.of(20, 20); // keeps the ReLU open
    const x = image([1, 2, 9, 9]);
    const other = mapValues(x, (value, index) => (index % 81 === 40 ? value + 1 : value));
    const [before, after] = [await run(module, x), await run(module, other)].map((r) =>
      numbers(r.outputs.y!),
    );
    const changed = before!.flatMap((value, index) => (value === after![index] ? [] : [index % 81]));
    const rows = new Set(changed.map((index) => Math.floor(index / 9) - 4));
    expect([...rows].sort((a, b) => a - b)).toEqual([-2, 0, 2]);
  });

  it("rounds the hidden width to a divisor, one more where that loses over a tenth", () => {
    const hidden = (options: { outChannels: number; reductionDivisor?: number; reducedChannels?: number }) =>
      new SelectiveKernel({ inChannels: 8, ...options }).attn.fcReduce.weight.shape[0];
    expect(hidden({ outChannels: 64 })).toBe(8);
    expect(hidden({ outChannels: 176 })).toBe(16);
    expect(hidden({ outChannels: 176, reductionDivisor: 3 })).toBe(12);
    expect(hidden({ outChannels: 256 })).toBe(16);
    expect(hidden({ outChannels: 64, reducedChannels: 5 })).toBe(5);
  });

  it("clips groups to its output channels", () => {
    const module = new SelectiveKernel({ inChannels: 8, outChannels: 4, groups: 32 });
    expect(module.paths[0]!.conv.weight.shape).toEqual([4, 1, 3, 3]);
  });

  it("refuses a single sample in training", async () => {
    const module = new SelectiveKernel({ inChannels: 4 });
    await expect(run(module, image([1, 4, 5, 5]), { training: true })).rejects.toThrow(ShapeError);
  });
});
