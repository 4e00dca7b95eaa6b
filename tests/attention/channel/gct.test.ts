import { describe, expect, it } from "vitest";
import { GCT } from "../../../src/attention/channel/gct.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { channelOf, distance, image, mapValues, randomize, setValues, tapOf } from "../images.js";

const modes = [{ mode: "l2" }, { mode: "l1" }, { mode: "l1", afterRelu: true }] as const;

describe("gated channel transformation", () => {
  it.each(modes)("is the identity at first: %o", async (options) => {
    const x = image([2, 6, 4, 5]);
    const { outputs } = await run(new GCT({ channels: 6, ...options }), x);
    expect(numbers(outputs.y!)).toEqual(numbers(x));
  });

  it.each(["l2", "l1"] as const)("does not see the scale of the image in %s", async (mode) => {
    const x = image([1, 6, 4, 5]);
    const scaled = mapValues(x, (value) => 50 * value);
    const small = randomize(new GCT({ channels: 6, mode, epsilon: 1e-10 }));
    expect(distance(await tapOf(small, x), await tapOf(small, scaled))).toBeLessThan(1e-6);
    const large = randomize(new GCT({ channels: 6, mode, epsilon: 20 }));
    expect(distance(await tapOf(large, x), await tapOf(large, scaled))).toBeGreaterThan(1e-2);
  });

  it.each(["l2", "l1"] as const)("adds epsilon where the reference code adds it, in %s", async (mode) => {
    const epsilon = 3;
    const module = randomize(new GCT({ channels: 4, mode, epsilon }));
    const x = image([1, 4, 2, 3]);
    const [alpha, gamma, beta] = [module.alpha, module.gamma, module.beta].map(({ value }) =>
      Array.from(value as Float32Array),
    ) as [number[], number[], number[]];
    const embedding = alpha.map((a, channel) => {
      const pixels = numbers(x).slice(channel * 6, channel * 6 + 6);
      const sum = pixels.reduce((total, value) => total + (mode === "l2" ? value ** 2 : Math.abs(value)), 0);
      return a * (mode === "l2" ? Math.sqrt(sum + epsilon) : sum);
    });
    const average = (values: number[]) => values.reduce((total, value) => total + value / 4, 0);
    const level =
      mode === "l2"
        ? Math.sqrt(average(embedding.map((e) => e ** 2)) + epsilon)
        : average(embedding.map(Math.abs)) + epsilon;
    const expected = embedding.map((e, c) => 1 + Math.tanh((e * gamma[c]!) / level + beta[c]!));
    expect(distance(await tapOf(module, x), expected)).toBeLessThan(1e-6);
  });

  it.each([
    [1, "lowers"],
    [-1, "raises"],
  ] as const)(
    "makes channels compete: with gamma %i a stronger channel %s the others' gates",
    async (gamma, effect) => {
      const module = new GCT({ channels: 5 });
      setValues(module, "alpha", 1);
      setValues(module, "gamma", gamma);
      setValues(module, "beta", 0);
      const x = image([1, 5, 4, 4]);
      const stronger = mapValues(x, (value, index) => (channelOf(x, index) === 2 ? value * 1.5 : value));
      const [before, after] = [await tapOf(module, x), await tapOf(module, stronger)];
      before.forEach((gate, channel) => {
        const rises = after[channel]! > gate;
        expect(rises).toBe((effect === "raises") !== (channel === 2));
      });
    },
  );

  it("sums signed values where the input is said to be non-negative", async () => {
    const module = randomize(new GCT({ channels: 3, mode: "l1", afterRelu: true }));
    const signed = image([1, 3, 2, 2]);
    const sums = [0, 1, 2].map((channel) =>
      numbers(signed)
        .slice(channel * 4, channel * 4 + 4)
        .reduce((sum, value) => sum + value, 0),
    );
    const same = mapValues(signed, (_, index) => sums[channelOf(signed, index)]! / 4);
    expect(distance(await tapOf(module, signed), await tapOf(module, same))).toBeLessThan(1e-5);
  });
});
