import { describe, expect, it } from "vitest";
import { CrissCrossAttention } from "../../../src/attention/spatial/ccnet.js";
import { elementCount } from "../../../src/base/dtype.js";
import { constant } from "../../../src/graph/constant.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { gradients } from "../../../src/ops/gradients.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, tapOf } from "../images.js";

const shape = [1, 4, 5, 6] as const;
const [, channels, height, width] = shape;
const x = image(shape);

function attention(recurrence: number): CrissCrossAttention {
  return randomize(new CrissCrossAttention({ channels, reduction: 2, recurrence }));
}

/** Pixels whose values the output at one pixel depends on, as `row,column`, by the gradient of all its channels. */
async function receptiveField(
  module: CrissCrossAttention,
  row: number,
  column: number,
): Promise<Set<string>> {
  const oneHot = Float32Array.from({ length: elementCount(shape) }, (_, index) =>
    index % (height * width) === row * width + column ? 1 : 0,
  );
  const gradient = (inputs: { x: Tensor }) =>
    gradients(module.forward(inputs.x), [inputs.x], { cotangent: constant(oneHot, { shape }) })[0]!;
  const values = numbers((await run(gradient, { x })).outputs.y!);
  const seen = values.flatMap((value, index) => {
    const pixel = index % (height * width);
    return value === 0 ? [] : [`${Math.floor(pixel / width)},${pixel % width}`];
  });
  return new Set(seen);
}

describe("criss-cross attention", () => {
  it("sees row and column with one pass, everything with two", async () => {
    const [row, column] = [1, 4];
    const cross = new Set<string>();
    for (let h = 0; h < height; h++) cross.add(`${h},${column}`);
    for (let w = 0; w < width; w++) cross.add(`${row},${w}`);
    expect(await receptiveField(attention(1), row, column)).toEqual(cross);
    expect((await receptiveField(attention(2), row, column)).size).toBe(height * width);
  });

  it("attends to H + W - 1 pixels: the own entry of the column is zero", async () => {
    const map = await tapOf(attention(1), x, "attention1");
    const entries = height + width;
    for (let pixel = 0; pixel < height * width; pixel++) {
      const own = Math.floor(pixel / width);
      const weights = map.slice(pixel * entries, (pixel + 1) * entries);
      expect(weights.flatMap((weight, entry) => (weight === 0 ? [entry] : []))).toEqual([own]);
    }
  });

  it("is the identity at first", async () => {
    const module = new CrissCrossAttention({ channels, reduction: 2 });
    expect(distance(numbers((await run(module, x)).outputs.y!), numbers(x))).toBe(0);
  });

  it("attends along the row alone in an image of one row", async () => {
    const map = await tapOf(attention(1), image([1, channels, 1, 3]), "attention1");
    expect(map.filter((_, index) => index % 4 === 0)).toEqual([0, 0, 0]);
    expect(map.every(Number.isFinite)).toBe(true);
  });
});
