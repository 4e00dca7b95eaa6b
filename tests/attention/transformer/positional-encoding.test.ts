import { describe, expect, it } from "vitest";
import { MultiHeadAttention } from "../../../src/attention/transformer/mha.js";
import { PositionalEncoding } from "../../../src/attention/transformer/positional-encoding.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, namedVariables, trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { run } from "../../../src/runtime/run.js";
import { floats, numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";
import { bools, permuteRows } from "./tokens.js";

type Options = ConstructorParameters<typeof PositionalEncoding>[0];

/** The encoding of each of L positions. */
async function positions(length: number, options: Options): Promise<number[][]> {
  const x = floats([1, length, options.embedDim], Array(length * options.embedDim).fill(0));
  const values = numbers((await run(new PositionalEncoding(options), x)).outputs.y!);
  return Array.from({ length }, (_, p) => values.slice(p * options.embedDim, (p + 1) * options.embedDim));
}
const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((total, value, index) => total + value * b[index]!, 0);

describe("positional encoding", () => {
  it("sinusoidal: an offset is a rotation of each pair, products depend on offsets alone, lengths are equal", async () => {
    const encodings = await positions(30, { embedDim: 12, temperature: 100 });
    for (const offset of [1, 7]) {
      for (let p = 0; p + offset < 30; p++) {
        const rotated = Array.from({ length: 6 }, (_, i) => {
          const angle = offset / 100 ** ((2 * i) / 12);
          const [s, c] = [encodings[p]![2 * i]!, encodings[p]![2 * i + 1]!];
          return [s * Math.cos(angle) + c * Math.sin(angle), c * Math.cos(angle) - s * Math.sin(angle)];
        }).flat();
        expect(distance(rotated, encodings[p + offset]!)).toBeLessThan(1e-5);
        const product = dot(encodings[p]!, encodings[p + offset]!);
        expect(product).toBeCloseTo(dot(encodings[0]!, encodings[offset]!), 4);
      }
    }
    for (const encoding of encodings) expect(dot(encoding, encoding)).toBeCloseTo(6, 5);
    expect(encodings[0]).toEqual([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
  });

  it("makes self-attention depend on the order of the tokens", async () => {
    const attention = randomize(new MultiHeadAttention({ embedDim: 6, heads: 1 }));
    const encoding = new PositionalEncoding({ embedDim: 6 });
    const order = [2, 0, 3, 1];
    const x = image([2, 4, 6]);
    const change = async (body: (x: Tensor) => Tensor) => {
      const y = (await run(body, x)).outputs.y!;
      const shuffled = (await run(body, permuteRows(x, 1, order))).outputs.y!;
      return distance(numbers(shuffled), numbers(permuteRows(y, 1, order)));
    };
    expect(await change((tokens) => attention.forward({ query: tokens }))).toBeLessThan(1e-5);
    expect(await change((tokens) => attention.forward({ query: encoding.forward(tokens) }))).toBeGreaterThan(
      0.1,
    );
  });

  it("sine2d without padding equals an empty mask, and padding keeps the last count", async () => {
    const x = image([2, 8, 3, 4]);
    for (const options of [{}, { normalize: true, scale: 3 }]) {
      const module = new PositionalEncoding({ kind: "sine2d", embedDim: 8, ...options });
      const plain = numbers((await run(module, { x })).outputs.y!);
      const empty = bools([2, 3, 4], () => false);
      expect(distance(plain, numbers((await run(module, { x, mask: empty })).outputs.y!))).toBeLessThan(1e-5);
      const mask = bools([2, 3, 4], (index) => index % 4 === 3);
      const { taps } = await run(module, { x, mask }, { taps: ["position"] });
      const map = numbers(taps.position!);
      // Columns 2 and 3 of the column channels.
      for (let at = 4 * 12; at < 8 * 12; at += 4) expect(map[at + 3]).toBe(map[at + 2]);
    }
  });

  it("gives finite values on an image that is all padding", async () => {
    const module = new PositionalEncoding({ kind: "sine2d", embedDim: 8, normalize: true });
    const mask = bools([1, 2, 3], () => true);
    const { taps } = await run(module, { x: image([1, 8, 2, 3]), mask }, { taps: ["position"] });
    for (const [index, value] of numbers(taps.position!).entries()) {
      expect(value).toBe(Math.floor(index / 6) % 2);
    }
  });

  it("learned2d has columns first, and ignores a mask", async () => {
    const module = randomize(new PositionalEncoding({ kind: "learned2d", embedDim: 4, maxSize: 6 }));
    const x = image([1, 4, 2, 3]);
    const { taps, outputs } = await run(module, { x }, { taps: ["position"] });
    const map = numbers(taps.position!);
    const table = (name: string) => [...(namedVariables(module).get(name)!.value as Float32Array)];
    const [columns, rows] = [table("colEmbed.weight"), table("rowEmbed.weight")];
    // Channel 1, row 1, column 2; channel 2, row 1, column 0.
    expect(map[6 + 3 + 2]).toBe(columns[2 * 2 + 1]);
    expect(map[2 * 6 + 3]).toBe(rows[1 * 2 + 0]);
    const mask = bools([1, 2, 3], () => true);
    expect(numbers((await run(module, { x, mask })).outputs.y!)).toEqual(numbers(outputs.y!));
  });

  it("starts learned2d uniform in [0, 1)", () => {
    const module = new PositionalEncoding({ kind: "learned2d", embedDim: 8 });
    initialize(module);
    const values = [...(namedVariables(module).get("rowEmbed.weight")!.value as Float32Array)];
    expect(values.length).toBe(50 * 4);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(Math.max(...values)).toBeGreaterThan(0.9);
  });

  it("refuses more positions than its tables have", () => {
    const learned = new PositionalEncoding({ kind: "learned", embedDim: 4, maxLength: 5 });
    expect(() => trace(learned, { shape: [2, 6, 4] })).toThrow(ShapeError);
    const table = new PositionalEncoding({ kind: "learned2d", embedDim: 4, maxSize: 5 });
    expect(() => trace(table, { x: { shape: [2, 4, 6, 5] } })).toThrow("at most 5");
    expect(() => trace(table, { x: { shape: [2, 4, 5, 6] } })).toThrow("at most 5");
    const sine = new PositionalEncoding({ kind: "sine2d", embedDim: 4 });
    const mask = { shape: [2, 6, 5], dtype: "bool" as const };
    expect(() => trace(sine, { x: { shape: [2, 4, 5, 6] }, mask })).toThrow(ShapeError);
  });
});
