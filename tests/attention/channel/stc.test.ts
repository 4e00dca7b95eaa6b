import { describe, expect, it } from "vitest";
import { STC } from "../../../src/attention/channel/stc.js";
import { ShapeError } from "../../../src/base/errors.js";
import { permutation } from "../../../src/base/random.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, tapOf } from "../images.js";

const shape = [2, 8, 3, 4, 5];
const pixels = 20;
const build = () => randomize(new STC({ channels: 8, frames: 3 }));

describe("spatio-temporal channel correlation", () => {
  it("sees the order of the frames with the spatial gate only", async () => {
    const module = build();
    const x = image(shape);
    const values = numbers(x);
    const turned = mapValues(x, (_, index) => {
      const frame = Math.floor(index / pixels) % 3;
      return values[index + (((frame + 1) % 3) - frame) * pixels]!;
    });
    expect(
      distance(await tapOf(module, x, "temporal"), await tapOf(module, turned, "temporal")),
    ).toBeLessThan(1e-6);
    expect(
      distance(await tapOf(module, x, "spatial"), await tapOf(module, turned, "spatial")),
    ).toBeGreaterThan(1e-3);
  });

  it("does not see where the pixels of a frame lie", async () => {
    const module = build();
    const x = image(shape);
    const values = numbers(x);
    const orders = [0, 1, 2].map((step) => permutation(pixels, { seed: 0, stream: "frame", step }));
    const shuffled = mapValues(x, (_, index) => {
      const order = orders[Math.floor(index / pixels) % 3]!;
      return values[index - (index % pixels) + order[index % pixels]!]!;
    });
    for (const gate of ["temporal", "spatial"]) {
      expect(distance(await tapOf(module, x, gate), await tapOf(module, shuffled, gate))).toBeLessThan(1e-6);
    }
  });

  it("refuses another number of frames, and images", async () => {
    const module = build();
    await expect(run(module, image([2, 8, 4, 4, 5]))).rejects.toThrow(
      "input x must be float32 [batch, 8, 3, height, width], found float32 [2, 8, 4, 4, 5]",
    );
    await expect(run(module, image([2, 8, 4, 5]))).rejects.toThrow(ShapeError);
  });

  it("reduces both branches by the same factor, rounded down", () => {
    const module = new STC({ channels: 7, frames: 3, reduction: 2 });
    expect(module.tcb.fc1.weight.shape).toEqual([3, 7]);
    expect(module.scb.fc1.weight.shape).toEqual([10, 21]);
    expect(module.scb.fc2.weight.shape).toEqual([7, 10]);
  });
});
