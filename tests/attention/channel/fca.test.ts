import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FCA } from "../../../src/attention/channel/fca.js";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import type { Options } from "../../../src/attention/mechanism.js";
import { OptionError } from "../../../src/base/errors.js";
import { parameterCount } from "../../../src/graph/model.js";
import { stateDict } from "../../../src/nn/state-dict.js";
import { readGoldenCase } from "../../../src/verify/golden-case.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, tapOf } from "../images.js";

const folder = new URL("../../goldens/channel/", import.meta.url);
const goldens = readdirSync(folder).filter((file) => file.startsWith("fca"));

/** The DCT filters of a module, one list of h w values per channel. */
function filters(module: FCA): number[][] {
  const values = numbers(stateDict(module).get("dctLayer.weight")!);
  const size = module.options.dctHeight * module.options.dctWidth;
  return Array.from({ length: module.options.channels }, (_, channel) =>
    values.slice(channel * size, (channel + 1) * size),
  );
}

const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, index) => sum + value * b[index]!, 0);

describe("frequency channel attention", () => {
  it("is compared with stored filters", () => expect(goldens.length).toBe(4));

  it.each(goldens)("derives the filters of %s from the options", (file) => {
    const golden = readGoldenCase(readFileSync(new URL(file, folder)), file);
    const module = new FCA(golden.options as Options<typeof FCA>);
    const stored = numbers(golden.tensors.get("buffer.dctLayer.weight")!);
    expect(distance(filters(module).flat(), stored)).toBeLessThan(1e-7);
  });

  it("takes the mean, times the root of the number of pixels, as its lowest frequency", async () => {
    for (const frequencies of ["top1", "low1", [[0, 0]]] as const) {
      const module = randomize(
        new FCA({
          channels: 4,
          dctHeight: 5,
          dctWidth: 6,
          reduction: 2,
          frequencies: frequencies as Options<typeof FCA>["frequencies"],
        }),
      );
      const x = image([1, 4, 5, 6]);
      const means = [0, 1, 2, 3].map((channel) =>
        numbers(x)
          .slice(channel * 30, channel * 30 + 30)
          .reduce((sum, value) => sum + value / 30, 0),
      );
      const expected = means.map((mean) => Math.sqrt(30) * mean);
      expect(distance(await tapOf(module, x, "spectrum"), expected)).toBeLessThan(1e-5);
    }
  });

  it.each(["top32", "low32", "bot32"] as const)("has orthonormal filters in %s", (frequencies) => {
    const list = filters(new FCA({ channels: 32, frequencies }));
    list.forEach((a, i) => {
      list.forEach((b, j) => {
        expect(dot(a, b)).toBeCloseTo(i === j ? 1 : 0, 5);
      });
    });
  });

  it("gives neighbouring channels the same filter", () => {
    const list = filters(new FCA({ channels: 12, reduction: 2, frequencies: "low4" }));
    for (let channel = 0; channel < 12; channel++) {
      const first = list[channel - (channel % 3)]!;
      expect(list[channel]).toEqual(first);
      if (channel >= 3) expect(dot(first, list[channel - 3]!)).toBeCloseTo(0, 5);
    }
  });

  it("scales a named set to the grid, and takes a list as it is", () => {
    const on = (frequencies: Options<typeof FCA>["frequencies"]) =>
      filters(
        new FCA({
          channels: 2,
          dctHeight: 14,
          dctWidth: 21,
          reduction: 1,
          ...(frequencies && { frequencies }),
        }),
      )[1];
    // top2 is (0, 0) and (0, 1).
    expect(on("top2")).toEqual(
      on([
        [0, 0],
        [0, 3],
      ]),
    );
    expect(on("top2")).not.toEqual(
      on([
        [0, 0],
        [0, 1],
      ]),
    );
  });

  it("refuses a named set of several frequencies on a grid to which they cannot be scaled", () => {
    const small = { channels: 16, reduction: 4, dctHeight: 6, dctWidth: 7 };
    expect(() => new FCA({ ...small, frequencies: "low2" })).toThrow(OptionError);
    expect(() => new FCA({ ...small, frequencies: "bot1" })).toThrow(OptionError);
    expect(filters(new FCA({ ...small, frequencies: "top1" })).length).toBe(16);
  });

  it("has the parameters of squeeze-and-excitation without biases", () => {
    const se = new SqueezeExcitation({ channels: 64, reduction: 16, reductionDivisor: 1, bias: false });
    expect(parameterCount(new FCA({ channels: 64 }))).toBe(parameterCount(se));
  });
});
