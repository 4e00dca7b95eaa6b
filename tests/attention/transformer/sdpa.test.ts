import { describe, expect, it } from "vitest";
import { ScaledDotProductAttention } from "../../../src/attention/transformer/sdpa.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { ShapeError } from "../../../src/base/errors.js";
import { trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { gradients } from "../../../src/ops/gradients.js";
import { compile } from "../../../src/runtime/executable.js";
import { run } from "../../../src/runtime/run.js";
import { floats, numbers } from "../../ops/evaluate.js";
import { distance, image } from "../images.js";
import { bools, permuteRows } from "./tokens.js";

const tokens = (length: number, width: number, stream: string, lead: readonly number[] = [2]) =>
  image([...lead, length, width], stream);
const inputs = { query: tokens(4, 8, "q"), key: tokens(5, 8, "k"), value: tokens(5, 3, "v") };

async function attend(
  given: Readonly<Record<string, HostTensor>>,
  options: ConstructorParameters<typeof ScaledDotProductAttention>[0] = {},
) {
  const { outputs, taps } = await run(new ScaledDotProductAttention(options), given, { taps: ["attention"] });
  return { y: numbers(outputs.y!), attention: numbers(taps.attention!) };
}

describe("scaled dot-product attention", () => {
  it("has scores of variance 1 for unit queries and keys, of variance E without the scale, which saturate", async () => {
    const wide = { query: tokens(40, 256, "q"), key: tokens(40, 256, "k"), value: tokens(40, 1, "v") };
    const entropy = (weights: readonly number[]) =>
      -weights.reduce((total, p) => total + (p > 0 ? p * Math.log(p) : 0), 0) / (weights.length / 40);
    const scaled = await attend(wide);
    const unscaled = await attend(wide, { scale: 1 });
    // Standard normal scores over 40 keys: log 40 less half their variance.
    expect(entropy(scaled.attention)).toBeGreaterThan(Math.log(40) - 0.75);
    expect(entropy(unscaled.attention)).toBeLessThan(0.5);
  });

  it("does not depend on the order of the keys and their values", async () => {
    const order = [3, 1, 4, 0, 2];
    const shuffled = {
      ...inputs,
      key: permuteRows(inputs.key, 1, order),
      value: permuteRows(inputs.value, 1, order),
    };
    expect(distance((await attend(inputs)).y, (await attend(shuffled)).y)).toBeLessThan(1e-6);
  });

  it("hides later keys and masked ones together, and gives 0 for queries that see none", async () => {
    const mask = bools([4, 5], (index) => index % 5 !== 0);
    const { y, attention } = await attend({ ...inputs, mask }, { causal: true });
    for (const [index, weight] of attention.entries()) {
      const [query, key] = [Math.floor(index / 5) % 4, index % 5];
      if (key === 0 || key > query) expect(weight).toBeLessThan(1e-30);
      else expect(weight).toBeGreaterThan(0);
    }
    expect(attention.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
    expect(y.slice(0, 3)).toEqual([0, 0, 0]);
    const added = floats(
      [4, 5],
      [...mask.data].map((visible) => (visible ? 0 : Number.NEGATIVE_INFINITY)),
    );
    expect((await attend({ ...inputs, mask: added }, { causal: true })).y).toEqual(y);
  });

  it("gives queries that see no key no gradient, and keys that are hidden none", async () => {
    const given = { ...inputs, mask: bools([4, 5], (index) => index >= 5 && index % 5 !== 2) };
    const types = Object.fromEntries(
      Object.entries(given).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
    );
    const module = new ScaledDotProductAttention({});
    const graph = trace(
      (leaves: { query: Tensor; key: Tensor; value: Tensor; mask: Tensor }) => {
        const { query, key, value } = leaves;
        const [dq, dk, dv] = gradients(module.forward(leaves), [query, key, value], {
          cotangent: module.forward({ ...leaves, mask: undefined }),
        });
        return { dq: dq!, dk: dk!, dv: dv! };
      },
      types,
      { model: module },
    );
    const executable = await compile(graph);
    const { dq, dk, dv } = (await executable.run(given)).outputs;
    await executable.close();
    const row = (x: HostTensor, index: number, width: number) =>
      numbers(x)
        .slice(index * width, (index + 1) * width)
        .map((value) => Math.abs(value) > 1e-30);
    expect(new Set(row(dq!, 0, 8))).toEqual(new Set([false]));
    expect(new Set(row(dq!, 1, 8))).toEqual(new Set([true]));
    expect(new Set([...row(dk!, 2, 8), ...row(dv!, 2, 3)])).toEqual(new Set([false]));
    expect(new Set([...row(dk!, 1, 8), ...row(dv!, 1, 3)])).toEqual(new Set([true]));
  });

  it("adds a float mask after the scale", async () => {
    const mask = image([4, 5], "mask");
    const { attention } = await attend({ ...inputs, mask }, { scale: 1e-9 });
    const rows = Array.from({ length: 4 }, (_, index) => numbers(mask).slice(index * 5, index * 5 + 5));
    const expected = rows.flatMap((row) => {
      const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
      return row.map((value) => Math.exp(value) / total);
    });
    expect(distance(attention, [...expected, ...expected])).toBeLessThan(1e-6);
  });

  it("refuses other leading axes, widths and lengths, and masks that do not broadcast", () => {
    const refused = (
      change: Readonly<Record<string, readonly number[]>>,
      dtype: "bool" | "float32" = "bool",
    ) => {
      const shapes = { query: [2, 3, 4, 8], key: [2, 3, 5, 8], value: [2, 3, 5, 6], ...change };
      const types = Object.fromEntries(
        Object.entries(shapes).map(([name, shape]) => [
          name,
          { shape, dtype: name === "mask" ? dtype : ("float32" as const) },
        ]),
      );
      expect(() => trace(new ScaledDotProductAttention({}), types)).toThrow(ShapeError);
    };
    refused({ key: [2, 3, 5, 7] });
    refused({ value: [2, 3, 4, 6] });
    refused({ key: [2, 1, 5, 8], value: [2, 1, 5, 6] });
    refused({ key: [3, 5, 8], value: [3, 5, 6] });
    refused({ value: [2, 1, 5, 6] });
    refused({ mask: [5, 4] });
    refused({ mask: [2, 4, 5] }, "float32");
    refused({ mask: [1, 2, 3, 4, 5] });
  });
});
