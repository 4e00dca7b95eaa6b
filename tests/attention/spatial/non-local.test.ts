import { describe, expect, it } from "vitest";
import { NonLocal } from "../../../src/attention/spatial/non-local.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, trace } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, setValues, shufflePixels, tapOf } from "../images.js";

const modes = ["gaussian", "embedded-gaussian", "dot-product", "concatenation"] as const;

describe("non-local block", () => {
  it.each([true, false])("is the identity at first, batchNorm %s", async (batchNorm) => {
    const x = image([2, 6, 4, 4]);
    for (const training of [false, true]) {
      const module = new NonLocal({ channels: 6, batchNorm });
      initialize(module, { seed: 3 });
      expect(numbers((await run(module, x, { training })).outputs.y!)).toEqual(numbers(x));
    }
  });

  it.each(modes)("moves its output with the pixels, %s", async (mode) => {
    const x = image([1, 4, 3, 5]);
    const module = randomize(new NonLocal({ channels: 4, mode, subSample: false }));
    const { y } = (await run(module, x)).outputs;
    const moved = (await run(module, shufflePixels(x))).outputs.y!;
    expect(distance(numbers(moved), numbers(shufflePixels(y!)))).toBeLessThan(1e-4);
    expect(distance(numbers(moved), numbers(y!))).toBeGreaterThan(0.1);
  });

  it("has a quarter of the pairs with sub-sampling, and keeps every frame", () => {
    const keys = (options: ConstructorParameters<typeof NonLocal>[0], ...sizes: number[]) =>
      trace(new NonLocal(options), { shape: [2, options.channels, ...sizes] }).taps.get("attention")!.shape;
    expect(keys({ channels: 2, subSample: false }, 8, 6)).toEqual([2, 48, 48]);
    expect(keys({ channels: 2 }, 8, 6)).toEqual([2, 48, 12]);
    expect(keys({ channels: 2, dimensions: 3 }, 3, 4, 4)).toEqual([2, 48, 12]);
    expect(keys({ channels: 2, dimensions: 1 }, 7)).toEqual([2, 7, 3]);
  });

  it("divides by the number of keys, not of queries", async () => {
    const module = randomize(new NonLocal({ channels: 4, mode: "concatenation" }));
    setValues(module, "theta.weight", 0);
    setValues(module, "theta.bias", 1);
    setValues(module, "phi.weight", 0);
    setValues(module, "phi.bias", 2);
    // The first half belongs to theta: 1 + 10 * 1 + 100 * 2 + 1000 * 2.
    setValues(module, "concatProject.weight", [1, 10, 100, 1000]);
    const map = await tapOf(module, image([1, 4, 4, 4]));
    expect(map).toHaveLength(16 * 4);
    expect(
      distance(
        map,
        map.map(() => 2211 / 4),
      ),
    ).toBeLessThan(1e-3);
  });

  it("scales by the inner channels or by the channels", async () => {
    const x = image([1, 8, 2, 2]);
    const logits = async (scale: "none" | "inner" | "channels") => {
      const module = new NonLocal({ channels: 8, innerChannels: 2, subSample: false, scale });
      const map = await tapOf(randomize(module), x);
      return Math.log(map[0]! / map[1]!);
    };
    const plain = await logits("none");
    expect((await logits("inner")) / plain).toBeCloseTo(2 ** -0.5, 4);
    expect((await logits("channels")) / plain).toBeCloseTo(8 ** -0.5, 4);
  });

  it("refuses an axis that cannot be pooled", () => {
    const module = new NonLocal({ channels: 4 });
    expect(() => trace(module, { shape: [2, 4, 1, 6] })).toThrow(ShapeError);
    const video = new NonLocal({ channels: 4, dimensions: 3 });
    expect(() => trace(video, { shape: [2, 4, 1, 2, 2] })).not.toThrow();
    expect(() => trace(video, { shape: [2, 4, 2, 2, 1] })).toThrow(ShapeError);
  });
});
