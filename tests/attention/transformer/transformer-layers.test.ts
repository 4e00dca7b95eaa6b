import { describe, expect, it } from "vitest";
import { TransformerDecoderLayer } from "../../../src/attention/transformer/transformer-decoder-layer.js";
import { TransformerEncoderLayer } from "../../../src/attention/transformer/transformer-encoder-layer.js";
import { elementCount, type HostTensor } from "../../../src/base/dtype.js";
import { ShapeError } from "../../../src/base/errors.js";
import { fillUniform } from "../../../src/base/random.js";
import { initialize, type Model, namedVariables, trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { gradients } from "../../../src/ops/gradients.js";
import { mean, slice, square } from "../../../src/ops/index.js";
import { compile } from "../../../src/runtime/executable.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, setValues } from "../images.js";
import { bools, permuteRows } from "./tokens.js";

const size = { embedDim: 8, heads: 2, feedForwardDim: 12 };
const x = image([2, 4, 8]);
const memory = image([2, 5, 8], "memory");
const causal = bools([4, 4], (index) => index % 4 > Math.floor(index / 4));

/** Largest gradient of the outputs of one target token, for each token of the inputs. */
async function influences(
  model: TransformerDecoderLayer,
  given: Readonly<Record<string, HostTensor>>,
  token: number,
): Promise<Record<"x" | "memory", number[]>> {
  const types = Object.fromEntries(
    Object.entries(given).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
  const graph = trace(
    (leaves: { x: Tensor; memory: Tensor }) => {
      const row = slice(model.forward(leaves), { axes: [1], starts: [token], ends: [token + 1] });
      const [dx, dm] = gradients(mean(square(row), { keepDims: false }), [leaves.x, leaves.memory]);
      return { x: dx!, memory: dm! };
    },
    types,
    { model },
  );
  const executable = await compile(graph);
  const { outputs } = await executable.run(given);
  await executable.close();
  const perToken = (gradient: HostTensor) => {
    const [batch, length, width] = gradient.shape as [number, number, number];
    return Array.from({ length }, (_, at) =>
      Math.max(
        ...numbers(gradient)
          .filter((_, index) => Math.floor(index / width) % length === at && index < batch * length * width)
          .map(Math.abs),
      ),
    );
  };
  return { x: perToken(outputs.x!), memory: perToken(outputs.memory!) };
}

describe.each([false, true])("transformer encoder layer, normFirst %s", (normFirst) => {
  it("permutes its output with the tokens", async () => {
    const module = randomize(new TransformerEncoderLayer({ ...size, normFirst }));
    const order = [2, 0, 3, 1];
    const y = (await run(module, { x })).outputs.y!;
    const shuffled = (await run(module, { x: permuteRows(x, 1, order) })).outputs.y!;
    expect(distance(numbers(shuffled), numbers(permuteRows(y, 1, order)))).toBeLessThan(1e-5);
  });

  it("without its branches is the identity exactly where the norm is first", async () => {
    const module = randomize(new TransformerEncoderLayer({ ...size, normFirst }));
    for (const part of ["selfAttn.outProj", "linear2"]) {
      setValues(module, `${part}.weight`, 0);
      setValues(module, `${part}.bias`, 0);
    }
    const change = distance(numbers((await run(module, { x })).outputs.y!), numbers(x));
    if (normFirst) expect(change).toBe(0);
    else expect(change).toBeGreaterThan(0.1);
  });

  it("still computes padded tokens, which no other token sees", async () => {
    const module = randomize(new TransformerEncoderLayer({ ...size, normFirst }));
    const keyPaddingMask = bools([2, 4], (index) => index % 4 === 3);
    const changed = {
      ...x,
      data: (x.data as Float32Array).map((v, at) => (at % 32 >= 24 ? v + 1 + (at % 3) : v)),
    };
    const y = numbers((await run(module, { x, keyPaddingMask })).outputs.y!);
    const other = numbers((await run(module, { x: changed, keyPaddingMask })).outputs.y!);
    for (const [index, value] of y.entries()) {
      if (index % 32 < 24) expect(other[index]).toBeCloseTo(value, 5);
    }
    expect(distance(y.slice(24, 32), other.slice(24, 32))).toBeGreaterThan(0.01);
    expect(Math.max(...y.slice(24, 32).map(Math.abs))).toBeGreaterThan(0.01);
  });
});

describe("a stack of encoder layers", () => {
  /** As the paper analyses it: Xavier matrices, no biases. */
  function redraw(layer: TransformerEncoderLayer, seed: number): TransformerEncoderLayer {
    initialize(layer, { seed });
    for (const [path, { shape, value }] of namedVariables(layer)) {
      if (shape.length !== 2) continue;
      const bound = Math.sqrt(6 / (shape[0]! + shape[1]!));
      fillUniform(value as Float32Array, { seed, stream: path, step: 0 }, -bound, bound);
    }
    for (const part of ["linear1", "linear2"]) setValues(layer, `${part}.bias`, 0);
    return layer;
  }

  /** Length of the gradient of each layer's feed-forward weight at the start. */
  async function steepness(normFirst: boolean): Promise<number[]> {
    const width = { embedDim: 16, heads: 2, feedForwardDim: 64 };
    const layers = Array.from({ length: 8 }, (_, seed) =>
      redraw(new TransformerEncoderLayer({ ...width, normFirst, dropout: 0 }), seed),
    );
    const [input, cotangent] = [image([2, 6, 16]), image([2, 6, 16], "cotangent")];
    const graph = trace(
      (leaves: { x: Tensor; dy: Tensor }) => {
        const y = layers.reduce((z, layer) => layer.forward({ x: z }), leaves.x);
        const weights = layers.map(({ linear2 }) => linear2.weight);
        const found = gradients(y, weights, { cotangent: leaves.dy });
        return Object.fromEntries(found.map((gradient, index) => [`${index}`, gradient]));
      },
      { x: { shape: input.shape }, dy: { shape: input.shape } },
    );
    const executable = await compile(graph);
    const { outputs } = await executable.run({ x: input, dy: cotangent });
    await executable.close();
    return layers.map((_, index) => Math.hypot(...numbers(outputs[`${index}`]!)));
  }

  it("starts with gradients that grow towards the output where the norm is last", async () => {
    const [post, pre] = [await steepness(false), await steepness(true)];
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
    const growth = (values: readonly number[]) => mean(values.slice(4)) / mean(values.slice(0, 4));
    expect(growth(post)).toBeGreaterThan(1.1);
    expect(growth(pre)).toBeLessThan(1);
  });
});

describe.each([false, true])("transformer decoder layer, normFirst %s", (normFirst) => {
  const build = () => randomize(new TransformerDecoderLayer({ ...size, normFirst }));

  it("with a causal mask does not depend on later tokens, nor on padding of the memory", async () => {
    const memoryKeyPaddingMask = bools([2, 5], (index) => index % 5 === 1);
    const found = await influences(build(), { x, memory, mask: causal, memoryKeyPaddingMask }, 1);
    expect(found.x.map((value) => value > 1e-30)).toEqual([true, true, false, false]);
    expect(found.memory.map((value) => value > 1e-30)).toEqual([true, false, true, true, true]);
    const open = await influences(build(), { x, memory }, 1);
    expect(open.x.every((value) => value > 1e-6)).toBe(true);
  });

  it("does not depend on the order of the memory", async () => {
    const module = build();
    const shuffled = permuteRows(memory, 1, [3, 1, 4, 0, 2]);
    const [y, other] = [await run(module, { x, memory }), await run(module, { x, memory: shuffled })];
    expect(distance(numbers(y.outputs.y!), numbers(other.outputs.y!))).toBeLessThan(1e-5);
  });

  it("hides keys of either attention by its own mask", async () => {
    const memoryMask = bools([4, 5], (index) => index % 5 === 0);
    const keyPaddingMask = bools([2, 4], (index) => index % 4 === 2);
    const taps = ["selfAttn.attention", "multiheadAttn.attention"];
    const found = (await run(build(), { x, memory, memoryMask, keyPaddingMask }, { taps })).taps;
    const hidden = (name: string, keys: number) =>
      new Set(numbers(found[name]!).flatMap((weight, index) => (weight < 1e-30 ? [index % keys] : [])));
    expect(hidden("selfAttn.attention", 4)).toEqual(new Set([2]));
    expect(hidden("multiheadAttn.attention", 5)).toEqual(new Set([0]));
  });
});

describe("transformer layers", () => {
  const shapesOf = (shapes: Readonly<Record<string, readonly number[]>>) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        { shape, dtype: name.toLowerCase().includes("mask") ? ("bool" as const) : ("float32" as const) },
      ]),
    );

  it.each([
    ["memory of another width", { memory: [2, 5, 7] }],
    ["memory of another batch", { memory: [3, 5, 8] }],
    ["a memory mask of other shape", { memoryMask: [4, 4] }],
    ["a mask with another number of heads", { mask: [3, 4, 4] }],
    ["padding of other length", { memoryKeyPaddingMask: [2, 4] }],
  ])("refuse %s", (_what, change) => {
    const model: Model = new TransformerDecoderLayer(size);
    expect(() => trace(model, shapesOf({ x: [2, 4, 8], memory: [2, 5, 8], ...change }))).toThrow(ShapeError);
  });

  it("refuse a mask of an encoder that is not square", () => {
    const model = new TransformerEncoderLayer(size);
    expect(() => trace(model, shapesOf({ x: [2, 4, 8], mask: [4, 5] }))).toThrow(ShapeError);
  });

  it("drop values in training only", async () => {
    const module = randomize(new TransformerEncoderLayer({ ...size, dropout: 0.5 }));
    const evaluated = numbers((await run(module, { x })).outputs.y!);
    const graph = trace(module, { x: { shape: x.shape } }, { training: true });
    const masked = graph.noise.map(({ tensor }) => elementCount(tensor.shape as readonly number[]));
    expect(masked.sort((a, b) => a - b)).toEqual([64, 64, 64, 96]);
    expect(trace(module, { x: { shape: x.shape } }).noise).toEqual([]);
    const trained = numbers((await run(module, { x }, { training: true })).outputs.y!);
    expect(distance(evaluated, trained)).toBeGreaterThan(0.01);
  });
});
