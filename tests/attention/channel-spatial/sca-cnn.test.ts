import { describe, expect, it } from "vitest";
import { ScaCnn } from "../../../src/attention/channel-spatial/sca-cnn.js";
import { ShapeError } from "../../../src/base/errors.js";
import { stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, setValues } from "../images.js";

const options = { channels: 6, hiddenSize: 5, attentionSize: 4 } as const;
const inputs = { x: image([2, 6, 3, 4]), hidden: image([2, 5], "hidden") };

async function outputOf(module: ScaCnn, given = inputs): Promise<number[]> {
  return numbers((await run(module, given)).outputs.y!);
}

describe("spatial and channel-wise attention", () => {
  it("depends on the order of the two", async () => {
    const [first, second] = await Promise.all(
      (["channel-spatial", "spatial-channel"] as const).map((order) =>
        outputOf(randomize(new ScaCnn({ ...options, order }))),
      ),
    );
    expect(distance(first!, second!)).toBeGreaterThan(1e-3);
  });

  it("changes nothing where its attention is uniform, and shrinks where it is not rescaled", async () => {
    for (const rescale of [true, false]) {
      const module = randomize(new ScaCnn({ ...options, rescale }));
      setValues(module, "channel.score.weight", 0);
      setValues(module, "spatial.score.weight", 0);
      const expected = numbers(inputs.x).map((value) => (rescale ? value : value / (6 * 12)));
      expect(distance(await outputOf(module), expected)).toBeLessThan(1e-6);
    }
  });

  it("looks elsewhere for another hidden state", async () => {
    const module = randomize(new ScaCnn(options));
    const taps = ["channel", "spatial"];
    const before = await run(module, inputs, { taps });
    const after = await run(module, { ...inputs, hidden: image([2, 5], "other") }, { taps });
    for (const tap of taps) {
      expect(distance(numbers(before.taps[tap]!), numbers(after.taps[tap]!))).toBeGreaterThan(1e-3);
    }
  });

  it("starts with small weights, orthogonal where they are square, and no biases", () => {
    const state = stateDict(new ScaCnn({ channels: 6, hiddenSize: 64, attentionSize: 64 }));
    const values = (path: string) => numbers(state.get(path)!);
    const square = values("spatial.hidden.weight");
    const product = (a: number, b: number) =>
      Array.from({ length: 64 }, (_, k) => square[a * 64 + k]! * square[b * 64 + k]!).reduce((s, v) => s + v);
    expect(product(3, 3)).toBeCloseTo(1, 5);
    expect(product(3, 40)).toBeCloseTo(0, 5);
    const feature = values("spatial.feature.weight");
    const deviation = Math.sqrt(feature.reduce((sum, value) => sum + value ** 2, 0) / feature.length);
    expect(deviation).toBeGreaterThan(0.008);
    expect(deviation).toBeLessThan(0.012);
    for (const path of ["channel.feature.bias", "channel.score.bias", "spatial.score.bias"]) {
      expect(values(path).every((value) => value === 0)).toBe(true);
    }
  });

  it("refuses images and hidden states of different numbers", async () => {
    const wrong = { ...inputs, hidden: image([3, 5]) };
    await expect(run(new ScaCnn(options), wrong)).rejects.toThrow(ShapeError);
  });
});
