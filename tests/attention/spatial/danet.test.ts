import { describe, expect, it } from "vitest";
import { modelMaps } from "../../../src/attention/model-maps.js";
import { CrissCrossAttention } from "../../../src/attention/spatial/ccnet.js";
import { DualAttention } from "../../../src/attention/spatial/danet.js";
import { DANetChannel } from "../../../src/attention/spatial/danet-channel.js";
import { DANetPosition } from "../../../src/attention/spatial/danet-position.js";
import { initialize, type Model } from "../../../src/graph/model.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { channelOf, distance, image, mapValues, randomize, tapOf } from "../images.js";

const channels = 4;
const x = image([2, channels, 3, 4]);

async function outputOf(model: Model, input = x): Promise<number[]> {
  return numbers((await run(model, input)).outputs.y!);
}

function initialized<M extends Model>(model: M): M {
  initialize(model);
  return model;
}

describe("position attention", () => {
  it("is the identity at first", async () => {
    expect(await outputOf(initialized(new DANetPosition({ channels, reduction: 2 })))).toEqual(numbers(x));
  });

  it.each([
    [1, 6, true],
    [6, 1, true],
    [2, 3, false],
  ])("of %i x %i pixels is criss-cross attention: %s", async (height, width, equal) => {
    const position = randomize(new DANetPosition({ channels, reduction: 2 }));
    const cross = new CrissCrossAttention({ channels, reduction: 2, recurrence: 1 });
    loadStateDict(cross, stateDict(position));
    const line = image([2, channels, height, width]);
    expect(distance(await outputOf(position, line), await outputOf(cross, line)) < 1e-5).toBe(equal);
  });
});

describe("channel attention", () => {
  /** The norm of channel 1 dominates its products. */
  const quiet = image([1, channels, 2, 3]);
  const input = mapValues(quiet, (value, index) => value * (channelOf(quiet, index) === 1 ? 2 : 0.5));

  it.each([
    [true, Math.min],
    [false, Math.max],
  ])(
    "with invertEnergy %s attends most to the channel of the extreme product",
    async (invertEnergy, extreme) => {
      const map = await tapOf(initialized(new DANetChannel({ channels, invertEnergy })), input);
      const values = numbers(input);
      const channel = (index: number) => values.slice(index * 6, (index + 1) * 6);
      for (let i = 0; i < channels; i++) {
        const products = Array.from({ length: channels }, (_, j) =>
          channel(i).reduce((sum, value, pixel) => sum + value * channel(j)[pixel]!, 0),
        );
        const row = map.slice(i * channels, (i + 1) * channels);
        expect(row.indexOf(Math.max(...row))).toBe(products.indexOf(extreme(...products)));
      }
      const own = map.slice(channels, 2 * channels);
      expect(own.indexOf(Math.max(...own)) === 1).toBe(!invertEnergy);
    },
  );

  it("has one parameter, which starts at 0", async () => {
    const module = initialized(new DANetChannel({ channels }));
    expect([...stateDict(module)].map(([name, { data }]) => [name, ...data])).toEqual([["gamma", 0]]);
    expect(await outputOf(module)).toEqual(numbers(x));
  });
});

describe("dual attention", () => {
  it("doubles its input at first", async () => {
    const y = await outputOf(initialized(new DualAttention({ channels, reduction: 2 })));
    expect(y).toEqual(numbers(x).map((value) => 2 * value));
  });

  it.each([true, false])("is the sum of its two parts, invertEnergy %s", async (invertEnergy) => {
    const dual = randomize(new DualAttention({ channels, reduction: 2, invertEnergy }));
    const position = new DANetPosition({ channels, reduction: 2 });
    const channel = new DANetChannel({ channels, invertEnergy });
    loadStateDict(position, stateDict(dual.position));
    loadStateDict(channel, stateDict(dual.channel));
    const [a, b] = [await outputOf(position), await outputOf(channel)];
    const expected = a.map((value, index) => value + b[index]!);
    expect(distance(await outputOf(dual), expected)).toBeLessThan(1e-6);
  });

  it("lists each map once", () => {
    const taps = modelMaps(new DualAttention({ channels, reduction: 2 })).map(({ mechanism, tap }) => [
      mechanism,
      tap,
    ]);
    expect(taps).toEqual([
      ["danet", "position.attention"],
      ["danet", "channel.attention"],
    ]);
  });
});
