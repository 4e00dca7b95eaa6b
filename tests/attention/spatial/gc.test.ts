import { describe, expect, it } from "vitest";
import { GlobalContext } from "../../../src/attention/spatial/gc.js";
import { initialize } from "../../../src/graph/model.js";
import { stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

const [channels, hidden, pixels] = [6, 3, 20] as const;
const x = image([1, channels, 4, 5]);

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("global context block", () => {
  it("adds the same vector to every pixel", async () => {
    const module = randomize(
      new GlobalContext({ channels, reducedChannels: hidden, fuseScale: false, fuseAdd: true }),
    );
    const y = numbers((await run(module, x)).outputs.y!);
    const added = numbers(x).map((value, index) => y[index]! - value);
    const first = added.map((_, index) => added[index - (index % pixels)]!);
    expect(distance(added, first)).toBeLessThan(1e-5);
    expect(Math.max(...added.map(Math.abs))).toBeGreaterThan(0.1);
  });

  it("without attention is squeeze-and-excitation with layer normalization", async () => {
    const module = randomize(
      new GlobalContext({ channels, reducedChannels: hidden, useAttention: false, normEps: 1e-3 }),
    );
    const state = stateDict(module);
    const values = (name: string) => numbers(state.get(`mlpScale.${name}`)!);
    const affine = (layer: string, input: readonly number[]) =>
      values(`${layer}.bias`).map((bias, row) =>
        input.reduce(
          (sum, value, column) => sum + values(`${layer}.weight`)[row * input.length + column]! * value,
          bias,
        ),
      );
    const squeezed = Array.from({ length: channels }, (_, channel) =>
      mean(numbers(x).slice(channel * pixels, (channel + 1) * pixels)),
    );
    const h = affine("fc1", squeezed);
    const deviation = Math.sqrt(mean(h.map((value) => (value - mean(h)) ** 2)) + 1e-3);
    const rectified = h.map((value, index) =>
      Math.max(
        0,
        ((value - mean(h)) / deviation) * values("norm.weight")[index]! + values("norm.bias")[index]!,
      ),
    );
    const gate = affine("fc2", rectified).map((value) => 1 / (1 + Math.exp(-value)));
    const expected = numbers(x).map((value, index) => value * gate[Math.floor(index / pixels)]!);
    expect(distance(numbers((await run(module, x)).outputs.y!), expected)).toBeLessThan(1e-5);
  });

  it("adds one and the same vector to every image at first", async () => {
    const module = new GlobalContext({ channels, fuseScale: false, fuseAdd: true, reducedChannels: 3 });
    initialize(module);
    const difference = async (stream: string) => {
      const input = image([1, channels, 4, 5], stream);
      const y = numbers((await run(module, input)).outputs.y!);
      return numbers(input).map((value, index) => y[index]! - value);
    };
    expect(distance(await difference("one"), await difference("other"))).toBeLessThan(1e-6);
  });

  it("costs in proportion to the pixels", () => {
    const { about } = GlobalContext;
    const { options } = new GlobalContext({ channels: 64 });
    const cost = (height: number) => about.macs(options, { height, width: 8 });
    expect(cost(16) - cost(8)).toBe(cost(8) - about.macs(options, { height: 0, width: 8 }));
  });

  it("passes nothing of the context with one reduced channel", async () => {
    const module = randomize(new GlobalContext({ channels, reducedChannels: 1 }));
    const gate = async (stream: string) => {
      const { taps } = await run(module, image([1, channels, 4, 5], stream), { taps: ["gate"] });
      return numbers(taps.gate!);
    };
    expect(distance(await gate("one"), await gate("other"))).toBeLessThan(1e-6);
  });

  it.each([
    [12, 8, 2],
    [3, 8, 1],
    [20, 8, 3],
  ])("rounds %i / %i half up to %i", (c, reduction, width) => {
    expect(new GlobalContext({ channels: c, reduction }).mlpScale!.fc1.weight.shape).toEqual([
      width,
      c,
      1,
      1,
    ]);
  });
});
