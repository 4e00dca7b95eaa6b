import { describe, expect, it } from "vitest";
import { QkvAttention } from "../../../src/attention/transformer/qkv-attention.js";
import { ShapeError } from "../../../src/base/errors.js";
import { trace } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues } from "../images.js";
import { bools } from "./tokens.js";

type Options = ConstructorParameters<typeof QkvAttention>[0];

const inputs = { query: image([2, 4, 6], "q"), key: image([2, 5, 6], "k"), value: image([2, 5, 3], "v") };
const wide = { queryDim: 6, keyDim: 6 };

async function attend(module: QkvAttention, given: Parameters<typeof run>[1] = inputs) {
  return numbers((await run(module, given)).outputs.y!);
}
const plain = (options: Partial<Options>) => attend(new QkvAttention({ ...wide, ...options }));

describe("query-key-value attention", () => {
  it("general with the identity is dot, scaledDot is dot with the scale", async () => {
    const general = randomize(new QkvAttention({ ...wide, score: "general" }));
    setValues(
      general,
      "bilinear.weight",
      Array.from({ length: 36 }, (_, index) => Number(index % 7 === 0)),
    );
    expect(distance(await attend(general), await plain({ score: "dot" }))).toBeLessThan(1e-6);
    const scaled = await plain({ score: "dot", scale: 1 / Math.sqrt(6) });
    expect(distance(await plain({}), scaled)).toBeLessThan(1e-6);
    expect(distance(await plain({ score: "dot" }), scaled)).toBeGreaterThan(1e-2);
  });

  it("general multiplies the weight from the query's side", async () => {
    const module = new QkvAttention({ queryDim: 2, keyDim: 3, score: "general" });
    setValues(module, "bilinear.weight", [1, 2, 3, 4, 5, 6]);
    const one = (shape: readonly number[], values: number[]) => ({
      dtype: "float32" as const,
      shape,
      data: Float32Array.from(values),
    });
    const given = {
      query: one([1, 1, 2], [1, 10]),
      key: one([1, 1, 3], [1, 0, 2]),
      value: one([1, 1, 1], [1]),
    };
    const { taps } = await run(module, given, { taps: ["scores"] });
    // (1, 10) W = (41, 52, 63)
    expect(numbers(taps.scores!)).toEqual([41 + 2 * 63]);
  });

  it("cosine does not depend on the lengths of queries and keys, and takes zero vectors", async () => {
    const module = new QkvAttention({ ...wide, score: "cosine", scale: 5 });
    const y = await attend(module);
    const longer = {
      ...inputs,
      query: mapValues(inputs.query, (value) => value * 7),
      key: mapValues(inputs.key, (value) => value / 3),
    };
    expect(distance(await attend(module, longer), y)).toBeLessThan(1e-5);
    const zero = await attend(module, { ...inputs, query: mapValues(inputs.query, () => 0) });
    const mean =
      numbers(inputs.value)
        .slice(0, 15)
        .filter((_, index) => index % 3 === 0)
        .reduce((a, b) => a + b) / 5;
    expect(zero[0]).toBeCloseTo(mean, 5);
  });

  it("additive is Luong's concat score with its weight cut in two", async () => {
    const module = randomize(new QkvAttention({ queryDim: 6, keyDim: 6, score: "additive", hiddenDim: 4 }));
    const { taps } = await run(module, inputs, { taps: ["scores"] });
    const [wq, wk, v] = [module.queryProj!, module.keyProj!, module.scoreProj!].map(
      ({ weight }) => weight.value as Float32Array,
    ) as [Float32Array, Float32Array, Float32Array];
    const [q, k] = [numbers(inputs.query), numbers(inputs.key)];
    const expected = Array.from({ length: 2 * 4 * 5 }, (_, index) => {
      const [n, i, j] = [Math.floor(index / 20), Math.floor(index / 5) % 4, index % 5];
      const pair = [
        ...q.slice((n * 4 + i) * 6, (n * 4 + i + 1) * 6),
        ...k.slice((n * 5 + j) * 6, (n * 5 + j + 1) * 6),
      ];
      return Array.from({ length: 4 }, (_, h) => {
        const row = [...wq.slice(h * 6, h * 6 + 6), ...wk.slice(h * 6, h * 6 + 6)];
        return v[h]! * Math.tanh(row.reduce((total, weight, at) => total + weight * pair[at]!, 0));
      }).reduce((a, b) => a + b);
    });
    expect(distance(numbers(taps.scores!), expected)).toBeLessThan(1e-5);
  });

  it("has scores before scale and mask, and gives 0 where all keys are hidden", async () => {
    const module = new QkvAttention({ ...wide, score: "dot", scale: 3 });
    const mask = bools([2, 1, 5], (index) => index >= 5);
    const hidden = await run(module, { ...inputs, mask }, { taps: ["scores"] });
    const plainScores = (await run(new QkvAttention(wide), inputs, { taps: ["scores"] })).taps.scores!;
    expect(numbers(hidden.taps.scores!)).toEqual(numbers(plainScores));
    const y = numbers(hidden.outputs.y!);
    expect(new Set(y.slice(0, 12))).toEqual(new Set([0]));
    expect(distance(y.slice(12), (await attend(module)).slice(12))).toBeLessThan(1e-6);
  });

  it.each([
    ["another batch", { key: [3, 5, 6], value: [3, 5, 3] }],
    ["another number of values", { value: [2, 4, 3] }],
    ["another key width", { key: [2, 5, 7] }],
    ["a mask of other shape", { mask: [2, 5, 4] }],
  ])("refuses %s", (_what, change) => {
    const shapes = { query: [2, 4, 6], key: [2, 5, 6], value: [2, 5, 3], ...change };
    const types = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
    expect(() => trace(new QkvAttention(wide), types)).toThrow(ShapeError);
  });
});
