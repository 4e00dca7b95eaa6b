import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import { SRM } from "../../../src/attention/channel/srm.js";
import { ShapeError } from "../../../src/base/errors.js";
import { parameterCount } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { channelOf, distance, image, mapValues, randomize, shufflePixels, tapOf } from "../images.js";

describe("style-based recalibration", () => {
  it("gates a channel by that channel alone", async () => {
    const module = randomize(new SRM({ channels: 6 }));
    const x = image([1, 6, 3, 4]);
    const other = mapValues(x, (value, index) => (channelOf(x, index) === 2 ? value * 2 : value));
    const [before, after] = [await tapOf(module, x), await tapOf(module, other)];
    expect(before.flatMap((gate, index) => (gate === after[index] ? [] : [index]))).toEqual([2]);
  });

  it("does not see where the pixels lie", async () => {
    const module = randomize(new SRM({ channels: 6 }));
    const x = image([2, 6, 5, 4]);
    expect(distance(await tapOf(module, x), await tapOf(module, shufflePixels(x)))).toBeLessThan(1e-6);
  });

  it("halves its input at first", async () => {
    const x = image([2, 6, 5, 4]);
    const { outputs } = await run(new SRM({ channels: 6 }), x);
    expect(numbers(outputs.y!)).toEqual(numbers(x).map((value) => value / 2));
  });

  it("has four parameters a channel, fewer than squeeze-and-excitation", () => {
    const channels = 64;
    expect(parameterCount(new SRM({ channels }))).toBe(4 * channels);
    const se = new SqueezeExcitation({ channels, reduction: 16, reductionDivisor: 1, bias: false });
    expect(parameterCount(se)).toBe((2 * channels ** 2) / 16);
  });

  it("refuses a single pixel, and a single sample in training", async () => {
    const module = new SRM({ channels: 6 });
    await expect(run(module, image([2, 6, 1, 1]))).rejects.toThrow(
      "height x width must be >= 2, as the deviation of one pixel is undefined; found [2, 6, 1, 1]",
    );
    await expect(run(module, image([1, 6, 3, 3]), { training: true })).rejects.toThrow(ShapeError);
  });
});
