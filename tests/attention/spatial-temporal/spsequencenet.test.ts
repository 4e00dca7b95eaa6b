import { describe, expect, it } from "vitest";
import { SpSequenceNet } from "../../../src/attention/spatial-temporal/spsequencenet.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { DataError, ShapeError } from "../../../src/base/errors.js";
import { trace } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, shufflePixels } from "../images.js";

const x = image([2, 4, 3, 5]);
const previous = image([2, 4, 4, 6], "previous");

function mask(values: (index: number) => boolean): HostTensor {
  return {
    dtype: "bool",
    shape: [2, 1, 4, 6],
    data: Uint8Array.from({ length: 48 }, (_, index) => Number(values(index))),
  };
}

async function gateOf(
  module: SpSequenceNet,
  inputs: Record<string, HostTensor>,
  training = false,
): Promise<number[]> {
  return numbers((await run(module, inputs, { taps: ["attention"], training })).taps.attention!);
}

describe("cross-frame global attention", () => {
  it("does not depend on the order of the previous frame's positions, nor on the current frame", async () => {
    const module = randomize(new SpSequenceNet({ channels: 4 }));
    const gate = await gateOf(module, { x, previous });
    expect(distance(gate, await gateOf(module, { x, previous: shufflePixels(previous) }))).toBeLessThan(1e-6);
    expect(await gateOf(module, { x: image([2, 4, 7], "other"), previous })).toEqual(gate);
    const moved = mapValues(previous, (value, index) => (index === 5 ? value + 3 : value));
    expect(distance(gate, await gateOf(module, { x, previous: moved }))).toBeGreaterThan(1e-4);
  });

  it("has one value per sample and channel, of the rank of x", async () => {
    const module = randomize(new SpSequenceNet({ channels: 4 }));
    const { outputs, taps } = await run(module, { x, previous }, { taps: ["attention"] });
    expect(taps.attention!.shape).toEqual([2, 4, 1, 1]);
    const gate = numbers(taps.attention!);
    expect(numbers(outputs.y!)).toEqual(
      numbers(x).map((value, index) => Math.fround(value * gate[Math.floor(index / 15)]!)),
    );
  });

  it.each([false, true])(
    "is the same with a mask that marks everything as with none, training %s",
    async (training) => {
      const module = randomize(new SpSequenceNet({ channels: 4 }));
      const plain = await run(module, { x, previous }, { training });
      const marked = await run(module, { x, previous, mask: mask(() => true) }, { training });
      expect(distance(numbers(plain.outputs.y!), numbers(marked.outputs.y!))).toBeLessThan(1e-6);
      expect(Object.keys(marked.updates)).toEqual(Object.keys(plain.updates));
      for (const [path, value] of Object.entries(plain.updates)) {
        expect(distance(numbers(value), numbers(marked.updates[path]!))).toBeLessThan(1e-6);
      }
    },
  );

  it.each([false, true])("does not see what the mask hides, training %s", async (training) => {
    const module = randomize(new SpSequenceNet({ channels: 4 }));
    const occupied = mask((index) => index % 3 === 0);
    const hidden = mapValues(previous, (value, index) => (index % 3 === 0 ? value : Number.NaN));
    const gate = await gateOf(module, { x, previous, mask: occupied }, training);
    expect(await gateOf(module, { x, previous: hidden, mask: occupied }, training)).toEqual(gate);
    expect(gate.every(Number.isFinite)).toBe(true);
  });

  it("refuses a sample without an occupied position", () => {
    const module = new SpSequenceNet({ channels: 4 });
    const inputs = { x, previous, mask: mask((index) => index < 24 && index % 5 === 0) };
    expect(() => module.checkValues("forward", inputs)).toThrow(DataError);
    expect(() => module.checkValues("forward", inputs)).toThrow("sample 1 has none");
    expect(() =>
      module.checkValues("forward", { ...inputs, mask: mask((index) => index % 24 === 23) }),
    ).not.toThrow();
  });

  it("refuses other channels, batches and masks", () => {
    const module = new SpSequenceNet({ channels: 4 });
    const types = { x: { shape: [2, 4, 3] }, previous: { shape: [2, 4, 5, 6] } };
    const bool = "bool" as const;
    expect(trace(module, types).outputs.get("y")!.shape).toEqual([2, 4, 3]);
    for (const wrong of [
      { ...types, x: { shape: [2, 5, 3] } },
      { ...types, previous: { shape: [2, 5, 5, 6] } },
      { ...types, previous: { shape: [3, 4, 5, 6] } },
      { ...types, previous: { shape: [2, 4] } },
      { ...types, mask: { shape: [2, 1, 4, 6], dtype: bool } },
      { ...types, mask: { shape: [2, 4, 5, 6], dtype: bool } },
      { ...types, mask: { shape: [2, 1, 6], dtype: bool } },
      { ...types, mask: { shape: [2, 1, 5, 6] } },
    ]) {
      expect(() => trace(module, wrong), JSON.stringify(wrong)).toThrow(ShapeError);
    }
  });
});
