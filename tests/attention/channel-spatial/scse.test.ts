import { describe, expect, it } from "vitest";
import { ScSE } from "../../../src/attention/channel-spatial/scse.js";
import { namedVariables } from "../../../src/graph/model.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

const x = image([2, 6, 4, 5]);

/** Outputs and both gates spread over the image, for modules of the same weights. */
async function outputOf(aggregation: "max" | "add") {
  const module = randomize(new ScSE({ channels: 6, aggregation }));
  const { outputs, taps } = await run(module, x, { taps: ["cSE.attention", "sSE.attention"] });
  const [channel, spatial] = [numbers(taps["cSE.attention"]!), numbers(taps["sSE.attention"]!)];
  return numbers(outputs.y!).map((y, index) => ({
    y,
    x: numbers(x)[index]!,
    channel: channel[Math.floor(index / 20)]!,
    spatial: spatial[Math.floor(index / 120) * 20 + (index % 20)]!,
  }));
}

describe("concurrent spatial and channel squeeze and excitation", () => {
  it("adds the gates, which can enlarge an element", async () => {
    const values = await outputOf("add");
    const expected = values.map((v) => v.x * (v.channel + v.spatial));
    expect(
      distance(
        values.map((v) => v.y),
        expected,
      ),
    ).toBeLessThan(1e-6);
    expect(values.some((v) => Math.abs(v.y) > Math.abs(v.x))).toBe(true);
  });

  it("takes the larger product: the larger gate of a positive, the smaller one of a negative element", async () => {
    const values = await outputOf("max");
    const expected = values.map((v) => v.x * (v.x >= 0 ? Math.max : Math.min)(v.channel, v.spatial));
    expect(
      distance(
        values.map((v) => v.y),
        expected,
      ),
    ).toBeLessThan(1e-6);
    expect(values.every((v) => Math.abs(v.y) <= Math.abs(v.x))).toBe(true);
  });

  it("keeps the names of its parameters in the single modes", async () => {
    const whole = randomize(new ScSE({ channels: 6, aggregation: "add" }));
    const parts = await Promise.all(
      (["cse", "sse"] as const).map(async (mode) => {
        const part = new ScSE({ channels: 6, mode });
        const own = new Map([...stateDict(whole)].filter(([path]) => namedVariables(part).has(path)));
        loadStateDict(part, own);
        return numbers((await run(part, x)).outputs.y!);
      }),
    );
    const sum = parts[0]!.map((value, index) => value + parts[1]![index]!);
    expect(distance(numbers((await run(whole, x)).outputs.y!), sum)).toBeLessThan(1e-6);
  });
});
