import { describe, expect, it } from "vitest";
import { CSRA } from "../../../src/attention/channel-spatial/csra.js";
import { run } from "../../../src/runtime/run.js";
import { floats, numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, tapOf } from "../images.js";

const x = image([2, 6, 4, 5]);

type CsraOptions = ConstructorParameters<typeof CSRA>[0];

function classifier(options: Partial<CsraOptions> = {}): CSRA {
  return randomize(new CSRA({ channels: 6, numClasses: 3, ...options }));
}

async function logitsOf(module: CSRA): Promise<number[]> {
  return numbers((await run(module, x)).outputs.y!);
}

/** Weight of the head, [class][channel], of length 1 where it is normalized. */
function classWeights(module: CSRA, normalize: boolean): number[][] {
  const values = [...module.multiHead[0]!.head.weight.value].map(Number);
  return [0, 1, 2].map((k) => {
    const row = values.slice(6 * k, 6 * (k + 1));
    const norm = normalize ? Math.hypot(...row) : 1;
    return row.map((value) => value / norm);
  });
}

describe("class-specific residual attention", () => {
  it("does not see the length of a class's weights where it normalizes them", async () => {
    const module = classifier();
    const before = await logitsOf(module);
    const { weight } = module.multiHead[0]!.head;
    weight.value = Float32Array.from(
      [...weight.value].map((value, index) => Number(value) * (1 + Math.floor(index / 6))),
    );
    expect(distance(await logitsOf(module), before)).toBeLessThan(1e-6);
    const raw = classifier({ normalize: false });
    const first = await logitsOf(raw);
    raw.multiHead[0]!.head.weight.value = weight.value.slice();
    expect(distance(await logitsOf(raw), first)).toBeGreaterThan(0.01);
  });

  it("nears the maximum for high temperatures, and (1 + lambda) times the mean for low ones", async () => {
    const lambda = 0.3;
    const sharp = await logitsOf(classifier({ lambda, temperature: 1e4 }));
    expect(distance(sharp, await logitsOf(classifier({ lambda, temperature: "max" })))).toBeLessThan(1e-4);
    const flat = await logitsOf(classifier({ lambda, temperature: 1e-6 }));
    const base = await logitsOf(classifier({ lambda: 0 }));
    expect(
      distance(
        flat,
        base.map((value) => (1 + lambda) * value),
      ),
    ).toBeLessThan(1e-5);
  });

  it("classifies the mean feature plus lambda times the attended one", async () => {
    const module = classifier({ lambda: 0.4, temperature: 2 });
    const attention = await tapOf(module, x);
    const values = numbers(x);
    const expected = [0, 1].flatMap((n) =>
      classWeights(module, true).map((weights, k) =>
        weights.reduce((total, weight, c) => {
          const pixels = Array.from({ length: 20 }, (_, l) => values[(n * 6 + c) * 20 + l]!);
          const feature = pixels.reduce(
            (sum, value, l) => sum + value * (1 / 20 + 0.4 * attention[(n * 3 + k) * 20 + l]!),
            0,
          );
          return total + weight * feature;
        }, 0),
      ),
    );
    expect(distance(await logitsOf(module), expected)).toBeLessThan(1e-5);
  });

  it("takes the first of equal largest scores", async () => {
    const module = new CSRA({ channels: 1, numClasses: 1, temperature: "max" });
    module.multiHead[0]!.head.weight.value = Float32Array.of(2);
    const { taps } = await run(module, floats([1, 1, 2, 2], [0, 3, 3, 1]), { taps: ["attention"] });
    expect(numbers(taps.attention!)).toEqual([0, 1, 0, 0]);
  });
});
