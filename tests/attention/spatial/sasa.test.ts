import { describe, expect, it } from "vitest";
import { StandAloneSelfAttention } from "../../../src/attention/spatial/sasa.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { parameterCount } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues, tapOf } from "../images.js";

const channels = 4;

/** The image moved one pixel down and to the right, around its edges. */
function moved(x: HostTensor): HostTensor {
  const [height, width] = [x.shape[2]!, x.shape[3]!];
  const values = numbers(x);
  return mapValues(x, (_, index) => {
    const plane = Math.floor(index / (height * width));
    const [row, column] = [Math.floor(index / width) % height, index % width];
    const source = ((row + height - 1) % height) * width + ((column + width - 1) % width);
    return values[plane * height * width + source]!;
  });
}

describe("stand-alone self-attention", () => {
  it("has parameters that grow with the kernel by its embeddings alone", () => {
    const counts = [3, 5, 7].map((kernelSize) =>
      parameterCount(new StandAloneSelfAttention({ channels: 16, kernelSize, heads: 4 })),
    );
    expect(counts).toEqual([192 + 3 * 16, 192 + 5 * 16, 192 + 7 * 16]);
  });

  it("commutes with translation away from the border", async () => {
    const module = randomize(new StandAloneSelfAttention({ channels, kernelSize: 3, heads: 2 }));
    const x = image([1, channels, 7, 8]);
    const expected = numbers(moved((await run(module, x)).outputs.y!));
    const found = numbers((await run(module, moved(x))).outputs.y!);
    const inside = (index: number) => {
      const [row, column] = [Math.floor(index / 8) % 7, index % 8];
      return row >= 2 && row < 6 && column >= 2 && column < 7;
    };
    const kept = (values: readonly number[]) => values.filter((_, index) => inside(index));
    expect(kept(found)).toHaveLength(channels * 4 * 5);
    expect(distance(kept(found), kept(expected))).toBeLessThan(1e-5);
    expect(distance(found, expected)).toBeGreaterThan(1e-2);
  });

  it("keeps pixels outside of the image in the softmax", async () => {
    const module = randomize(new StandAloneSelfAttention({ channels, kernelSize: 3, heads: 2 }));
    setValues(module, "queryConv.weight", 0);
    const attention = await tapOf(module, image([1, channels, 2, 2]));
    expect(distance(attention, Array(2 * 4 * 9).fill(1 / 9))).toBeLessThan(1e-6);
  });

  it("looks at the slice of each head alone where its projections are grouped", async () => {
    const module = randomize(new StandAloneSelfAttention({ channels, kernelSize: 3, heads: 2 }));
    const x = image([1, channels, 4, 4]);
    const other = mapValues(x, (value, index) => (index < 2 * 16 ? value : value + 1));
    const [before, after] = [await run(module, x), await run(module, other)].map(({ outputs }) =>
      numbers(outputs.y!),
    ) as [number[], number[]];
    expect(distance(before.slice(0, 32), after.slice(0, 32))).toBe(0);
    expect(distance(before.slice(32), after.slice(32))).toBeGreaterThan(1e-2);
  });
});
