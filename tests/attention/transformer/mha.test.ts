import { describe, expect, it } from "vitest";
import { MultiHeadAttention } from "../../../src/attention/transformer/mha.js";
import { ScaledDotProductAttention } from "../../../src/attention/transformer/sdpa.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, namedVariables, trace } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, setValues } from "../images.js";
import { bools, permuteRows } from "./tokens.js";

const query = image([2, 4, 6], "query");
const memory = image([2, 5, 6], "memory");

async function output(module: MultiHeadAttention, inputs: Parameters<typeof run>[1]): Promise<number[]> {
  return numbers((await run(module, inputs)).outputs.y!);
}

describe("multi-head attention", () => {
  it("costs the same with several heads as with one of full width", () => {
    const { macs } = MultiHeadAttention.about;
    const cost = (heads: number) =>
      macs(new MultiHeadAttention({ embedDim: 12, heads }).options, { batch: 2, length: 5, keyLength: 7 });
    expect(cost(6)).toBe(cost(1));
    // N (2 L E^2 + S E (E + E) + 2 L S E)
    expect(cost(3)).toBe(2 * (2 * 5 * 144 + 7 * 12 * 24 + 2 * 5 * 7 * 12));
  });

  it("with one head and identity projections is scaled dot-product attention", async () => {
    const module = randomize(new MultiHeadAttention({ embedDim: 6, heads: 1, bias: false }));
    const identity = Array.from({ length: 36 }, (_, index) => Number(index % 7 === 0));
    for (const path of namedVariables(module).keys()) setValues(module, path, identity);
    const plain = await run(new ScaledDotProductAttention({}), { query, key: memory, value: memory });
    expect(distance(await output(module, { query, key: memory }), numbers(plain.outputs.y!))).toBeLessThan(
      1e-6,
    );
  });

  it.each([{ qkvFused: false }, { qkvFused: true, qkvBias: true, gated: true }])(
    "permutes its output with the tokens, %o",
    async (options) => {
      const module = randomize(new MultiHeadAttention({ embedDim: 6, heads: 3, ...options }));
      const order = [2, 0, 3, 1];
      const { y } = (await run(module, { query })).outputs;
      const shuffled = await output(module, { query: permuteRows(query, 1, order) });
      expect(distance(shuffled, numbers(permuteRows(y!, 1, order)))).toBeLessThan(1e-5);
    },
  );

  it("does not depend on the key's bias, unless there is a key that does not have it", async () => {
    for (const [options, matters] of [
      [{}, false],
      [{ addZeroAttn: true }, true],
      [{ addBiasKv: true }, true],
    ] as const) {
      const module = randomize(new MultiHeadAttention({ embedDim: 6, heads: 2, ...options }));
      const before = await output(module, { query });
      setValues(module, "keyProj.bias", [3, -1, 2, 0, 1, -2]);
      const change = distance(before, await output(module, { query }));
      if (matters) expect(change).toBeGreaterThan(1e-2);
      else expect(change).toBeLessThan(1e-5);
    }
  });

  it("hides where the first form's mask is true, shows where the second's is", async () => {
    const mask = bools([4, 4], (index) => index % 4 > Math.floor(index / 4));
    for (const qkvFused of [false, true]) {
      const module = randomize(new MultiHeadAttention({ embedDim: 6, heads: 2, qkvFused }));
      const { taps } = await run(module, { query, mask }, { taps: ["attention"] });
      for (const [index, weight] of numbers(taps.attention!).entries()) {
        const isTrue = mask.data[index % 16] === 1;
        expect(weight > 1e-30).toBe(index % 16 === 15 && qkvFused ? false : isTrue === qkvFused);
      }
    }
  });

  it("gives the output's bias where all keys are hidden, and takes heads of a mask fastest", async () => {
    const module = randomize(new MultiHeadAttention({ embedDim: 6, heads: 2 }));
    const hidden = bools([2, 4], (index) => index < 4);
    const y = await output(module, { query, keyPaddingMask: hidden });
    const bias = numbers({
      ...query,
      data: namedVariables(module).get("outProj.bias")!.value as Float32Array,
    });
    expect(distance(y.slice(0, 24), [...bias, ...bias, ...bias, ...bias])).toBeLessThan(1e-6);
    const perHead = bools([4, 4, 4], (index) => Math.floor(index / 16) === 1);
    const { taps } = await run(module, { query, mask: perHead }, { taps: ["attention"] });
    const sums = Array.from({ length: 4 }, (_, index) =>
      Math.round(
        numbers(taps.attention!)
          .slice(index * 16, index * 16 + 16)
          .reduce((a, b) => a + b),
      ),
    );
    expect(sums).toEqual([4, 0, 4, 4]);
  });

  it("starts with Xavier's bound of the packed projection, and of separate ones", () => {
    const bound = (options: { keyDim?: number }) => {
      const module = new MultiHeadAttention({ embedDim: 64, heads: 2, ...options });
      initialize(module);
      return Math.max(
        ...(namedVariables(module).get("queryProj.weight")!.value as Float32Array).map(Math.abs),
      );
    };
    expect(bound({})).toBeCloseTo(Math.sqrt(6 / 256), 2);
    expect(bound({ keyDim: 32 })).toBeCloseTo(Math.sqrt(6 / 128), 2);
  });

  it.each([
    ["a mask of other length", { mask: [4, 5] }],
    ["a mask with another number of heads", { mask: [3, 4, 4] }],
    ["a mask of rank 4", { mask: [2, 2, 4, 4] }],
    ["padding of other length", { keyPaddingMask: [2, 5] }],
    ["a value of other length", { value: [2, 3, 6] }],
    ["keys and values of different length", { key: [2, 5, 6], value: [2, 4, 6] }],
    ["another width", { key: [2, 5, 7] }],
    ["another batch", { key: [1, 5, 6] }],
  ])("refuses %s", (_what, change) => {
    const types = Object.fromEntries(
      Object.entries({ query: [2, 4, 6], ...change }).map(([name, shape]) => [
        name,
        { shape, dtype: name.toLowerCase().includes("mask") ? ("bool" as const) : ("float32" as const) },
      ]),
    );
    expect(() => trace(new MultiHeadAttention({ embedDim: 6, heads: 2 }), types)).toThrow(ShapeError);
  });

  it("needs a key of its own width", () => {
    const module = new MultiHeadAttention({ embedDim: 6, heads: 2, keyDim: 4 });
    expect(() => trace(module, { query: { shape: [2, 4, 6] } })).toThrow("input key");
    const fused = new MultiHeadAttention({ embedDim: 6, heads: 2, qkvFused: true });
    expect(() =>
      trace(fused, { query: { shape: [2, 4, 6] }, mask: { shape: [2, 4], dtype: "bool" } }),
    ).toThrow("input mask must broadcast");
  });
});
