import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import { GatherExcite } from "../../../src/attention/spatial/gather-excite.js";
import { ShapeError } from "../../../src/base/errors.js";
import { parameterCount, trace } from "../../../src/graph/model.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, tapOf } from "../images.js";

describe("gather-excite", () => {
  it("is squeeze-and-excitation where it gathers the mean of the image", async () => {
    const module = randomize(new GatherExcite({ channels: 8, reducedChannels: 3 }));
    const squeeze = new SqueezeExcitation({ channels: 8, reducedChannels: 3 });
    loadStateDict(
      squeeze,
      new Map([...stateDict(module)].map(([path, value]) => [path.replace("mlp.", ""), value])),
    );
    const x = image([2, 8, 5, 4]);
    const [y, expected] = [await run(module, x), await run(squeeze, x)];
    expect(distance(numbers(y.outputs.y!), numbers(expected.outputs.y!))).toBeLessThan(1e-6);
  });

  it.each([0, 2, 8])("has no parameter without learned gather and MLP (extent %i)", (extent) => {
    expect(parameterCount(new GatherExcite({ channels: 8, extent, useMlp: false }))).toBe(0);
  });

  it("gates all pixels of a cell alike", async () => {
    const [height, width, extent] = [6, 7, 4];
    const gate = await tapOf(
      new GatherExcite({ channels: 2, extent, useMlp: false }),
      image([1, 2, height, width]),
      "gate",
    );
    const [rows, columns] = [Math.ceil(height / extent), Math.ceil(width / extent)];
    const cells = new Map<string, Set<number>>();
    for (const [index, value] of gate.entries()) {
      const [row, column] = [Math.floor(index / width) % height, index % width];
      const cell = [
        Math.floor(index / (height * width)),
        Math.floor((row * rows) / height),
        Math.floor((column * columns) / width),
      ].join();
      cells.set(cell, (cells.get(cell) ?? new Set()).add(value));
    }
    expect(cells.size).toBe(2 * rows * columns);
    expect([...cells.values()].map((values) => values.size)).toEqual(Array(cells.size).fill(1));
    expect(new Set(gate).size).toBe(cells.size);
  });

  it("divides the mean of a cell at the border by its pixels alone", async () => {
    const module = new GatherExcite({ channels: 1, extent: 2, useMlp: false });
    const ones = { dtype: "float32", shape: [1, 1, 3, 5], data: new Float32Array(15).fill(1) } as const;
    const gate = await tapOf(module, ones, "gate");
    expect(distance(gate, Array(15).fill(1 / (1 + Math.exp(-1))))).toBeLessThan(1e-6);
  });

  it("keeps one gate per channel where a cell covers the image", () => {
    const graph = trace(new GatherExcite({ channels: 8, extent: 8 }), { shape: [1, 8, 8, 5] });
    expect(graph.taps.get("gate")!.shape).toEqual([1, 8, 1, 1]);
  });

  it("refuses an image smaller than the kernel that gathers it", () => {
    const module = new GatherExcite({ channels: 2, extraParams: true, featureSize: [2, 2] });
    expect(() => trace(module, { shape: [1, 2, 1, 4] })).toThrow(ShapeError);
  });
});
