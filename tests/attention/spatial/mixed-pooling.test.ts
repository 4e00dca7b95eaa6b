import { describe, expect, it } from "vitest";
import { MixedPooling } from "../../../src/attention/spatial/mixed-pooling.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { image, mapValues, randomize } from "../images.js";

const [height, width] = [12, 14];
const pixels = height * width;

/** A module whose result depends on one branch only, and shows it wherever the input does not: branches are the halves of `fuse`'s input. */
function only(branch: "pyramid" | "strips", poolSizes: [number, number]): MixedPooling {
  const module = randomize(new MixedPooling({ channels: 16, poolSizes }));
  const weight = module.fuse.conv.weight; // [16, 8, 1, 1], four channels of each branch
  weight.value = (weight.value as Float32Array).map((value, index) =>
    index % 8 < 4 === (branch === "pyramid") ? value : 0,
  );
  // Outputs far above 0, so that no ReLU at the end hides a change.
  module.fuse.bn.bias.value = new Float32Array(16).fill(100);
  return module;
}

/** Pixels whose output changes with one pixel of the input. */
async function reached(module: MixedPooling, [row, column]: readonly [number, number]): Promise<Set<number>> {
  const x = image([1, 16, height, width]);
  const other = mapValues(x, (value, index) =>
    index % pixels === row * width + column ? value + 40 : value,
  );
  const [before, after] = [
    numbers((await run(module, x)).outputs.y!),
    numbers((await run(module, other)).outputs.y!),
  ];
  return new Set(before.flatMap((value, index) => (value === after[index] ? [] : [index % pixels])));
}

describe("mixed pooling", () => {
  it("is never negative, as the last ReLU acts on the sum with the input", async () => {
    const module = randomize(new MixedPooling({ channels: 8, poolSizes: [3, 2] }));
    const y = numbers((await run(module, image([2, 8, 5, 6]))).outputs.y!);
    expect(Math.min(...y)).toBe(0);
    expect(Math.max(...y)).toBeGreaterThan(1);
  });

  it("sees whole rows and columns in its strips: a pixel reaches a cross", async () => {
    const found = await reached(only("strips", [3, 2]), [4, 9]);
    const inCross = (index: number) =>
      Math.abs(Math.floor(index / width) - 4) <= 2 || Math.abs((index % width) - 9) <= 2;
    expect([...found].filter((index) => !inCross(index))).toEqual([]);
    for (const end of [4 * width, 4 * width + width - 1, 9, (height - 1) * width + 9])
      expect(found.has(end)).toBe(true);
  });

  it("sees only nearby cells in the pyramid: a pixel of fine grids does not reach the far side", async () => {
    const found = await reached(only("pyramid", [12, 12]), [1, 1]);
    expect(found.has(width + 1)).toBe(true);
    const far = [...found].filter((index) => Math.floor(index / width) > 5 || index % width > 6);
    expect(far).toEqual([]);
  });

  it("takes grids finer than the image", async () => {
    const module = randomize(new MixedPooling({ channels: 4 }));
    const { outputs } = await run(module, image([1, 4, 3, 2]));
    expect(outputs.y!.shape).toEqual([1, 4, 3, 2]);
  });
});
