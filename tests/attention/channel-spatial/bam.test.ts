import { describe, expect, it } from "vitest";
import { BAM } from "../../../src/attention/channel-spatial/bam.js";
import { ShapeError } from "../../../src/base/errors.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, tapOf } from "../images.js";

describe("bottleneck attention module", () => {
  it.each(["sum", "product"] as const)("stretches every element by 1 to 2 (%s)", async (combine) => {
    const x = image([2, 8, 5, 6]);
    const { outputs } = await run(randomize(new BAM({ channels: 8, reduction: 2, combine })), x);
    const y = numbers(outputs.y!);
    const ratios = numbers(x).map((value, index) => y[index]! / value);
    expect(Math.min(...ratios)).toBeGreaterThan(1);
    expect(Math.max(...ratios)).toBeLessThan(2);
  });

  it("joins the logits by their sum or their product", async () => {
    const x = image([2, 4, 3, 5]);
    for (const combine of ["sum", "product"] as const) {
      const module = randomize(new BAM({ channels: 4, reduction: 2, combine }));
      const { taps } = await run(module, x, { taps: ["channelLogits", "spatialLogits", "attention"] });
      const [channel, spatial] = [numbers(taps.channelLogits!), numbers(taps.spatialLogits!)];
      const expected = numbers(taps.attention!).map((_, index) => {
        const c = channel[Math.floor(index / 15)]!;
        const s = spatial[Math.floor(index / 60) * 15 + (index % 15)]!;
        return 1 / (1 + Math.exp(-(combine === "sum" ? c + s : c * s)));
      });
      expect(distance(numbers(taps.attention!), expected)).toBeLessThan(1e-6);
    }
  });

  it("sees 17 x 17 pixels around a pixel by default", async () => {
    const width = 21;
    const module = randomize(new BAM({ channels: 16 }));
    const x = image([1, 16, width, width]);
    const pixel = 10 * width + 10;
    const other = mapValues(x, (value, index) => (index % width ** 2 === pixel ? value + 5 : value));
    const [before, after] = [
      await tapOf(module, x, "spatialLogits"),
      await tapOf(module, other, "spatialLogits"),
    ];
    const changed = before.flatMap((value, index) => (value === after[index] ? [] : [index]));
    const rows = changed.map((index) => Math.abs(Math.floor(index / width) - 10));
    const columns = changed.map((index) => Math.abs((index % width) - 10));
    expect([Math.max(...rows), Math.max(...columns)]).toEqual([8, 8]);
  });

  it("refuses a single sample in training", async () => {
    const module = new BAM({ channels: 8, reduction: 2 });
    await expect(run(module, image([1, 8, 5, 5]), { training: true })).rejects.toThrow(ShapeError);
  });
});
