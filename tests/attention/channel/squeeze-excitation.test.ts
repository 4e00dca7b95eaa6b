import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import { elementCount } from "../../../src/base/dtype.js";
import { ShapeError } from "../../../src/base/errors.js";
import { namedParameters, parameterCount, trace } from "../../../src/graph/model.js";
import * as models from "../../../src/models/registry.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues, shufflePixels, tapOf } from "../images.js";

describe("squeeze-and-excitation", () => {
  it("gates a channel whatever the order of its pixels", async () => {
    const module = randomize(new SqueezeExcitation({ channels: 8, reduction: 2, reductionDivisor: 1 }));
    const x = image([2, 8, 5, 6]);
    const gate = await tapOf(module, x);
    expect(distance(await tapOf(module, shufflePixels(x)), gate)).toBeLessThan(1e-6);
    const other = mapValues(x, (value) => value + 1);
    expect(distance(await tapOf(module, other), gate)).toBeGreaterThan(1e-2);
  });

  it("halves its input where the second layer is zero", async () => {
    const module = randomize(new SqueezeExcitation({ channels: 8 }));
    setValues(module, "fc2.weight", 0);
    setValues(module, "fc2.bias", 0);
    const x = image([2, 8, 3, 4]);
    const half = numbers(x).map((value) => value / 2);
    expect(distance(numbers((await run(module, x)).outputs.y!), half)).toBe(0);
  });

  it("adds 2,514,944 weights to ResNet-50", () => {
    const blocks = [
      [3, 256],
      [4, 512],
      [6, 1024],
      [3, 2048],
    ] as const;
    const added = blocks.reduce(
      (total, [count, channels]) =>
        total + count * parameterCount(new SqueezeExcitation({ channels, bias: false })),
      0,
    );
    expect(added).toBe(2_514_944);
    const inNetwork = [...namedParameters(models.create("seresnet50"))]
      .filter(([path]) => /\.se\.fc[12]\.weight$/.test(path))
      .reduce((total, [, { shape }]) => total + elementCount(shape), 0);
    expect(inNetwork).toBe(2_514_944);
  });

  it.each([
    [{ channels: 32 }, 8],
    [{ channels: 18, reduction: 4, reductionDivisor: 1 }, 5],
    [{ channels: 64, reduction: 2.5 }, 24],
    [{ channels: 64, reducedChannels: 3 }, 3],
    [{ channels: 64, reducedChannels: null }, 8],
  ])("rounds the hidden width of %j to %i", (options, width) => {
    expect(new SqueezeExcitation(options).fc1.weight.shape).toEqual([width, options.channels, 1, 1]);
  });

  it("refuses batch statistics of a single sample", () => {
    const module = new SqueezeExcitation({ channels: 8, norm: true });
    const traced = (batch: number) => trace(module, { shape: [batch, 8, 4, 4] }, { training: true });
    expect(() => traced(1)).toThrow(ShapeError);
    expect([...traced(2).updates.keys()]).toHaveLength(2);
  });
});
