import { describe, expect, it } from "vitest";
import { CoordinateAttention } from "../../../src/attention/channel-spatial/coord.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize } from "../images.js";

const taps = ["height", "width"];

/** The rows moved down by one, the last one to the top. */
function rolled(x: HostTensor): HostTensor {
  const [, , height = 1, width = 1] = x.shape;
  const values = numbers(x);
  return mapValues(x, (_, index) => {
    const row = Math.floor(index / width) % height;
    return values[index + ((row === 0 ? height : 0) - 1) * width]!;
  });
}

describe("coordinate attention", () => {
  const x = image([2, 6, 4, 5]);
  const module = randomize(new CoordinateAttention({ channels: 6 }));

  it("gates by a product of a row's and a column's gate", async () => {
    const { outputs, taps: maps } = await run(module, x, { taps });
    const [height, width] = [numbers(maps.height!), numbers(maps.width!)];
    const expected = numbers(x).map((value, index) => {
      const channel = Math.floor(index / 20);
      return value * height[channel * 4 + (Math.floor(index / 5) % 4)]! * width[channel * 5 + (index % 5)]!;
    });
    expect(distance(numbers(outputs.y!), expected)).toBeLessThan(1e-6);
  });

  it("moves with the rows: y and the gates of rows, not the gates of columns", async () => {
    const [before, after] = [await run(module, x, { taps }), await run(module, rolled(x), { taps })];
    const errors = [
      [after.outputs.y!, rolled(before.outputs.y!)],
      [after.taps.height!, rolled(before.taps.height!)],
      [after.taps.width!, before.taps.width!],
    ].map(([a, b]) => distance(numbers(a!), numbers(b!)));
    expect(Math.max(...errors)).toBeLessThan(1e-6);
  });

  it("has at least 8 hidden channels unless they are given", () => {
    const hidden = (options: object) =>
      new CoordinateAttention({ channels: 64, ...options }).conv1.weight.shape[0];
    expect(hidden({})).toBe(8);
    expect(hidden({ reduction: 6 })).toBe(10);
    expect(hidden({ reducedChannels: 3 })).toBe(3);
  });
});
