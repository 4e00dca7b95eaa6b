import { describe, expect, it } from "vitest";
import { FoveaError, ShapeError } from "../../src/base/errors.js";
import { ancestors } from "../../src/graph/ancestors.js";
import { constant } from "../../src/graph/constant.js";
import { input } from "../../src/graph/leaf.js";
import { trace } from "../../src/graph/model.js";
import { defineOp } from "../../src/graph/operator.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { buffer, constantValue, parameter, read, update } from "../../src/nn/variables.js";
import {
  add,
  argMax,
  batchMoments,
  batchNormTraining,
  cast,
  exp,
  gradients,
  matmul,
  max,
  maxPool,
  mean,
  mul,
  reciprocal,
  reshape,
  sigmoid,
  slice,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  sumTo,
  swapLast,
  transpose,
} from "../../src/ops/index.js";
import { compile } from "../../src/runtime/executable.js";
import { evaluate, floats, numbers, vector } from "./evaluate.js";
import { agrees, directionalDerivatives, type GradientRule } from "./finite-differences.js";
import { sampleValues } from "./sample-values.js";

describe("finite differences reject", () => {
  const normal = (...shapes: number[][]) =>
    sampleValues(
      shapes.map((shape) => ({ shape })),
      "smooth",
      "mutants",
    );
  type Body = (inputs: readonly Tensor[]) => readonly Tensor[];
  const normalized: Body = ([x, scale, bias]) => [batchNormTraining(x!, scale!, bias!, { epsilon: 1e-5 })];
  const mutants: [what: string, body: Body, shapes: number[][], rule: GradientRule][] = [
    ["a factor of 0.95", ([x]) => [exp(x!)], [[2, 3]], (_x, [y], [dy]) => [mul(mul(dy!, y!), 0.95)]],
    ["a wrong sign", ([x]) => [sigmoid(x!)], [[2, 3]], (_x, [y], [dy]) => [mul(dy!, mul(y!, sub(y!, 1)))]],
    ["a dropped term", ([x]) => [softmax(x!, { axis: 1 })], [[2, 3]], (_x, [y], [dy]) => [mul(dy!, y!)]],
    [
      "batch statistics taken for constants",
      normalized,
      [[3, 2, 2], [2], [2]],
      ([x, scale], _y, [dy]) => {
        const { centered, variance } = batchMoments(x!);
        const total = (value: Tensor) => sum(value, { axes: [0, 2], keepDims: false });
        const inverse = reciprocal(sqrt(add(variance, 1e-5)));
        const dx = mul(dy!, mul(inverse, reshape(scale!, { shape: [1, 2, 1] })));
        return [dx, total(mul(dy!, mul(centered, inverse))), total(dy!)];
      },
    ],
    [
      "operands that changed places",
      ([a, b]) => [mul(a!, b!)],
      [
        [2, 3],
        [2, 3],
      ],
      ([a, b], _y, [dy]) => [mul(dy!, a!), mul(dy!, b!)],
    ],
    [
      "a matrix that is not transposed",
      ([a, b]) => [matmul(a!, b!)],
      [
        [3, 3],
        [3, 3],
      ],
      ([a, b], _y, [dy]) => [matmul(dy!, b!), matmul(swapLast(a!), dy!)],
    ],
    [
      "a broadcast that is averaged, not summed",
      ([a, b]) => [add(a!, b!)],
      [
        [4, 3],
        [1, 3],
      ],
      (_x, _y, [dy]) => [dy!, mean(dy!, { axes: [0] })],
    ],
    [
      "rows in another order",
      ([x]) => [sigmoid(x!)],
      [[3, 3]],
      (_x, [y], [dy]) => [transpose(mul(dy!, mul(y!, sub(1, y!))))],
    ],
  ];

  it.each(mutants)("%s", async (_what, body, shapes, gradient) => {
    const values = normal(...shapes);
    const right = await directionalDerivatives(body, values);
    expect(right.every(agrees)).toBe(true);
    const wrong = await directionalDerivatives(body, values, { gradient });
    expect(wrong.every(agrees)).toBe(false);
  });
});

describe("a gradient of a gradient of a gradient", () => {
  it("is that of calculus", async () => {
    // d/dx of x^4: 4 x^3, 12 x^2, 24 x.
    const { first, second, third } = await evaluate([vector(-1, 0.5, 2)], (x) => {
      const orders: Tensor[] = [mul(mul(x, x), mul(x, x))];
      for (let order = 0; order < 3; order++)
        orders.push(gradients(sum(orders.at(-1)!, { keepDims: false }), [x])[0]!);
      return { first: orders[1]!, second: orders[2]!, third: orders[3]! };
    });
    expect(numbers(first!)).toEqual([-4, 0.5, 32]);
    expect(numbers(second!)).toEqual([12, 3, 48]);
    expect(numbers(third!)).toEqual([-24, 12, 48]);
  });
});

describe("what gradients are taken of and to", () => {
  it("sums over all paths, also to a tensor on the way to another", async () => {
    const { dx, dh } = await evaluate([vector(1, 2)], (x) => {
      const h = mul(x, x);
      const [dx, dh] = gradients(sum(add(mul(h, h), add(h, x)), { keepDims: false }), [x, h]);
      return { dx: dx!, dh: dh! };
    });
    expect(numbers(dh!)).toEqual([3, 9]);
    expect(numbers(dx!)).toEqual([3 * 2 + 1, 9 * 4 + 1]);
  });

  it("is zeros of its shape where the output does not depend on it, and ones for itself", async () => {
    const x = input("x", [2, 3]);
    const loss = sum(mul(x, 2), { keepDims: false });
    const other = input("other", [4]);
    const [zeros, one] = gradients(loss, [other, loss]);
    expect([zeros!.shape, one!.shape]).toEqual([[4], []]);
    const results = await evaluate([], () => ({ zeros: zeros!, one: one! }));
    expect(numbers(results.zeros!)).toEqual([0, 0, 0, 0]);
    expect(numbers(results.one!)).toEqual([1]);
  });

  it("stretches a lazy gradient of the whole", async () => {
    const { dx, dy } = await evaluate([floats([2, 3], [1, 2, 3, 4, 5, 6])], (x) => ({
      dx: gradients(mean(x, { keepDims: false }), [x])[0]!,
      dy: gradients(sigmoid(mean(mul(x, 0), { keepDims: false })), [x])[0]!,
    }));
    expect(dx!.shape).toEqual([2, 3]);
    expect(numbers(dx!)).toEqual(Array(6).fill(Math.fround(1 / 6)));
    expect(numbers(dy!)).toEqual(Array(6).fill(0));
  });

  it("takes a cotangent that stretches and refuses one that does not fit", async () => {
    const { dx } = await evaluate([floats([2, 2], [1, 2, 3, 4])], (x) => ({
      dx: gradients(mul(x, x), [x], { cotangent: constant([1, 10]) })[0]!,
    }));
    expect(numbers(dx!)).toEqual([2, 40, 6, 80]);
    const x = input("x", [2, 3]);
    expect(() => gradients(mul(x, x), [x], { cotangent: input("dy", [4, 2, 3]) })).toThrow(ShapeError);
    expect(() => gradients(sum(x), [x], { cotangent: input("dy", [2, 3]) })).toThrow(
      /cannot stretch to \[1, 1\]/,
    );
  });

  it("passes through integers and comparisons without a gradient", async () => {
    const { dx } = await evaluate([floats([2, 2], [1, 2, 4, 3])], (x) => {
      const index = cast(argMax(x, { axis: 1 }), { to: "float32" });
      return { dx: gradients(sum(mul(x, index), { keepDims: false }), [x])[0]! };
    });
    expect(numbers(dx!)).toEqual([1, 1, 0, 0]);
  });

  it("of an outer product is not counted once per row", async () => {
    const [a, b] = [floats([3, 1], [1, 2, 3]), floats([1, 2], [10, 20])];
    const { da, db } = await evaluate([a, b], (x, y) => {
      const [da, db] = gradients(sum(matmul(x, y), { keepDims: false }), [x, y]);
      return { da: da!, db: db! };
    });
    expect(numbers(da!)).toEqual([30, 30, 30]);
    expect(numbers(db!)).toEqual([6, 6]);
  });

  it("of slices that make up a tensor is their gradients one after the other, of others padded ones", async () => {
    const x = floats(
      [2, 6],
      Array.from({ length: 12 }, (_, index) => index - 5),
    );
    const cut = (y: Tensor, from: number, to: number) => slice(y, { axes: [1], starts: [from], ends: [to] });
    const slope = (ranges: readonly (readonly [number, number])[]) => (y: Tensor) => {
      const parts = ranges.map(([from, to]) => sum(square(cut(y, from, to)), { keepDims: false }));
      const weighted = parts.map((part, index) => mul(part, index + 1));
      return {
        dx: gradients(
          weighted.reduce((total, part) => add(total, part)),
          [y],
        )[0]!,
      };
    };
    const expected = (ranges: readonly (readonly [number, number])[]) =>
      numbers(x).map((value, index) =>
        ranges.reduce((total, [from, to], part) => {
          const column = index % 6;
          return total + (column >= from && column < to ? 2 * (part + 1) * value : 0);
        }, 0),
      );
    const tiles = [
      [4, 6],
      [0, 1],
      [1, 4],
    ] as const;
    const others = [
      [
        [0, 3],
        [2, 6],
      ],
      [
        [0, 3],
        [4, 6],
      ],
      [[1, 6]],
      [
        [0, 6],
        [0, 6],
      ],
      [
        [0, 2],
        [2, 6],
        [1, 3],
      ],
    ] as const;
    for (const ranges of [tiles, ...others]) {
      expect(numbers((await evaluate([x], slope(ranges))).dx!)).toEqual(expected(ranges));
    }
    const opNames = (ranges: readonly (readonly [number, number])[]) =>
      [...ancestors([slope(ranges)(input("x", [2, 6])).dx])].map(({ op }) => op.opName);
    expect(opNames(tiles)).toContain("concat");
    expect(opNames(tiles)).not.toContain("pad");
    for (const ranges of others) expect(opNames(ranges)).not.toContain("concat");
  });

  it("sees a variable as the forward pass read it, not as it was updated since", async () => {
    const running = buffer([2], constantValue(3));
    const weight = parameter([2], constantValue(5));
    const graph = trace(
      (x: Tensor) => {
        const early = read(running);
        const y = mul(mul(x, running), weight);
        update(running, add(running, 1));
        update(weight, mul(weight, 100));
        const [dx, dw] = gradients(sum(y, { keepDims: false }), [x, weight]);
        return { dx: dx!, dw: dw!, early: mul(early, 1), late: mul(running, 1), now: read(running) };
      },
      { shape: [2] },
    );
    const executable = await compile(graph);
    const { outputs, updates } = await executable.run({ x: vector(1, 2) });
    await executable.close();
    const found = Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, numbers(value)]));
    expect(found).toEqual({ dx: [15, 15], dw: [3, 6], early: [3, 3], late: [4, 4], now: [4, 4] });
    expect(Object.values(updates).map(numbers)).toEqual([
      [4, 4],
      [500, 500],
    ]);
  });
});

describe("what gradients are computed from", () => {
  const [a, b, w] = [input("a", [4, 3]), input("b", [4, 1]), input("w", [3, 2])];

  it("is not a product of activations, whose factors are kept", () => {
    const product = mul(a, b);
    const results = gradients(sum(exp(matmul(exp(product), w)), { keepDims: false }), [a, b, w]);
    expect(ancestors([results[2]!]).has(product)).toBe(true);
    const direct = matmul(product, w);
    const cotangent = input("dy", [4, 2]);
    for (const gradient of gradients(direct, [a, b, w], { cotangent })) {
      expect(ancestors([gradient]).has(product)).toBe(false);
    }
  });

  it("is a product with a factor that nothing else keeps", () => {
    const product = mul(a, b);
    const [dw] = gradients(matmul(product, w), [w], { cotangent: input("dy", [4, 2]) });
    expect(ancestors([dw!]).has(product)).toBe(true);
  });
});

describe("gradients refuse", () => {
  const x = input("x", [2, 3]);

  it("an output that is no scalar", () => {
    expect(() => gradients(mul(x, 2), [x])).toThrow(
      "gradients: output must be a scalar or have a cotangent, found [2, 3]",
    );
  });

  it("a symbolic batch", () => {
    const rows = input("x", [batch, 3]);
    expect(() => gradients(sum(rows, { keepDims: false }), [rows])).toThrow(
      "gradients need a concrete batch, found [batch, 3]",
    );
    const weight = input("w", [3]);
    const loss = sum(mean(add(rows, weight)), { keepDims: false });
    expect(() => gradients(loss, [weight])).toThrow(/needs? a concrete batch/);
    expect(() => gradients(sum(add(rows, weight), { keepDims: false }), [weight])).toThrow(
      /needs? a concrete batch/,
    );
  });

  it("an operator without a rule, and a rule of the wrong shape", () => {
    const type = ([a]: [Tensor]) => ({ shape: a.shape, dtype: a.dtype });
    const bare = defineOp<[a: Tensor]>("bareForTest", { type, macs: 0, samples: [] });
    expect(() => gradients(sum(bare(x), { keepDims: false }), [x])).toThrow(
      new FoveaError("bareForTest has no gradient"),
    );
    const wrong = defineOp<[a: Tensor]>("wrongForTest", {
      type,
      gradient: ({ cotangent: dy }) => [() => slice(dy, { axes: [1], starts: [0], ends: [2] })],
      macs: 0,
      samples: [],
    });
    expect(() => gradients(sum(wrong(x), { keepDims: false }), [x])).toThrow(
      "gradient rule of wrongForTest gives [2, 2] for an input of [2, 3]",
    );
  });
});

describe("sumTo", () => {
  it("refuses to count a symbolic size", () => {
    expect(() => sumTo(input("dy", [1, 3]), [batch, 3], [3])).toThrow(
      "gradients need a concrete batch, found batch",
    );
  });
});

describe("ties and kinks", () => {
  const gradientOf = async (body: (x: Tensor) => Tensor, shape: readonly number[], values: number[]) => {
    const { dx } = await evaluate([floats(shape, values)], (x) => ({
      dx: gradients(sum(body(x), { keepDims: false }), [x])[0]!,
    }));
    return numbers(dx!);
  };

  it("max shares equally", async () => {
    expect(await gradientOf((x) => max(x, { axes: [1] }), [2, 3], [2, 1, 2, 5, 5, 5])).toEqual([
      0.5,
      0,
      0.5,
      ...Array(3).fill(Math.fround(1 / 3)),
    ]);
  });

  it("maxPool takes the first of a window, row by row", async () => {
    const pool = (x: Tensor) => maxPool(x, { kernel: [2, 2], stride: 2 });
    const values = [1, 7, 3, 3, 7, 7, 3, 3];
    expect(await gradientOf(pool, [1, 1, 2, 4], values)).toEqual([0, 1, 1, 0, 0, 0, 0, 0]);
    const overlapping = (x: Tensor) => maxPool(x, { kernel: [3], stride: 1, padding: 1 });
    expect(await gradientOf(overlapping, [1, 1, 4], [5, 5, 5, 1])).toEqual([2, 1, 1, 0]);
  });
});
