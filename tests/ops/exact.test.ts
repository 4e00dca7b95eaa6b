import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { constant } from "../../src/graph/constant.js";
import type { Target } from "../../src/graph/emitter.js";
import type { Tensor } from "../../src/graph/tensor.js";
import {
  abs,
  adaptiveAveragePool2d,
  cast,
  dropout,
  equal,
  erf,
  gelu,
  gradients,
  greater,
  hardSigmoid,
  isPositive,
  layerNorm,
  log,
  logSoftmax,
  maskedSoftmax,
  maximum,
  maxPool,
  minimum,
  mul,
  oneHot,
  reciprocal,
  relu,
  relu6,
  softmax,
  softplus,
  sqrt,
  stack,
  sum,
  variance,
  where,
} from "../../src/ops/index.js";
import { cpu, evaluate, floats, numbers, vector } from "./evaluate.js";

const portable: Target = { kind: "portable", opset: 20 };
const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

/** Values of a function of one vector and the gradient of their sum. */
async function both(
  body: (x: Tensor) => Tensor,
  x: HostTensor,
  target: Target = cpu,
): Promise<{ y: number[]; dx: number[] }> {
  const { y, dx } = await evaluate(
    [x],
    (leaf) => {
      const value = body(leaf);
      return { y: value, dx: gradients(sum(value, { keepDims: false }), [leaf])[0]! };
    },
    target,
  );
  return { y: numbers(y!), dx: numbers(dx!) };
}

describe.each([cpu, portable])("on $kind", (target) => {
  it("relu and abs have the gradient 0 at 0", async () => {
    const x = vector(-2, 0, -0, 3);
    expect(await both(relu, x, target)).toEqual({ y: [0, 0, expect.closeTo(0), 3], dx: [0, 0, 0, 1] });
    expect((await both(abs, x, target)).dx).toEqual([-1, 0, 0, 1]);
  });

  it("isPositive is a step, also for tiny, huge and infinite values", async () => {
    const x = vector(-infinity, -3e38, -1e-37, 0, 1e-37, 1, 3e38, infinity);
    expect((await both(isPositive, x, target)).y).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it("relu keeps NaN, and its gradient is no number that hides it", async () => {
    const { y, dx } = await both(relu, vector(nan, 1), target);
    expect(y).toEqual([nan, 1]);
    expect(dx[1]).toBe(1);
    expect([0, nan]).toContainEqual(dx[0]);
  });

  it("relu6 has the gradient 0 at 0 and 6, and keeps NaN", async () => {
    const { y, dx } = await both(relu6, vector(-infinity, 0, 1e-37, 2, 5.999, 6, 7, infinity), target);
    expect(y).toEqual([0, 0, Math.fround(1e-37), 2, Math.fround(5.999), 6, 6, 6]);
    expect(dx).toEqual([0, 0, 1, 1, 1, 0, 0, 0]);
    expect((await both(relu6, vector(nan, 1), target)).y).toEqual([nan, 1]);
  });

  it("hardSigmoid has the gradient 0 at -3 and 3", async () => {
    const { y, dx } = await both(hardSigmoid, vector(-4, -3, -2.999, 0, 2.999, 3, 4), target);
    expect([y[0], y[1], y[3], y[5], y[6]]).toEqual([0, 0, 0.5, 1, 1]);
    const slope = Math.fround(1 / 6);
    expect(dx).toEqual([0, 0, slope, slope, slope, 0, 0]);
  });

  it("maximum and minimum halve the gradient of equal operands", async () => {
    const [a, b] = [vector(1, 2, 3), vector(2, 2, 2)];
    const results = await evaluate(
      [a, b],
      (x, y) => {
        const [maxA, maxB] = gradients(sum(maximum(x, y), { keepDims: false }), [x, y]);
        const [minA, minB] = gradients(sum(minimum(x, y), { keepDims: false }), [x, y]);
        return { maxA: maxA!, maxB: maxB!, minA: minA!, minB: minB! };
      },
      target,
    );
    expect(Object.values(results).map(numbers)).toEqual([
      [0, 0.5, 1],
      [1, 0.5, 0],
      [1, 0.5, 0],
      [0, 0.5, 1],
    ]);
  });

  it.each([0, 1])("softmax along axis %d gives -infinity weight 0 and gradient 0", async (axis) => {
    const rows = [1, -infinity, 2, -infinity];
    const x = axis === 1 ? floats([1, 4], rows) : floats([4, 1], rows);
    const weighted = (leaf: Tensor) => {
      const weights = floats(x.shape, [1, 5, -1, 2]);
      return mul(
        softmax(leaf, { axis }),
        where(greater(leaf, -1e30), constant(weights.data, { shape: x.shape }), 1),
      );
    };
    const { y, dx } = await both(weighted, x, target);
    const p = 1 / (1 + Math.E);
    expect(y[0]).toBeCloseTo(p, 6);
    expect([y[1], y[3]]).toEqual([0, 0]);
    // d/dx0 of p - (1 - p)
    expect(dx[0]).toBeCloseTo(2 * p * (1 - p), 6);
    expect(dx[2]).toBeCloseTo(-2 * p * (1 - p), 6);
    expect([dx[1], dx[3]]).toEqual([expect.closeTo(0, 12), expect.closeTo(0, 12)]);
  });

  it.each([0, 1])(
    "maskedSoftmax along axis %d gives rows of -infinity weight 0 and gradient 0",
    async (axis) => {
      // Two rows: hidden, and half hidden.
      const rows = axis === 1 ? [-infinity, -infinity, 3, -infinity] : [-infinity, 3, -infinity, -infinity];
      const x = floats([2, 2], rows);
      const { y, dx } = await both(
        (leaf) => mul(maskedSoftmax(leaf, { axis }), constant([1, 2, 3, 4], { shape: [2, 2] })),
        x,
        target,
      );
      expect(y).toEqual(axis === 1 ? [0, 0, 3, 0] : [0, 2, 0, 0]);
      expect(dx).toEqual([0, 0, 0, 0].map(() => expect.closeTo(0, 12)));
    },
  );

  it("maskedSoftmax is softmax for finite scores, the lowest included", async () => {
    const lowest = -3.4028234663852886e38;
    const x = floats([2, 2], [1, 2, lowest, lowest]);
    expect((await both((leaf) => maskedSoftmax(leaf, { axis: 1 }), x, target)).y.slice(2)).toEqual([
      0.5, 0.5,
    ]);
  });

  it("gelu and its gradient are exact far from zero, where erf is 1", async () => {
    expect((await both(erf, vector(-10, 0, 10), target)).y).toEqual([-1, 0, 1]);
    const { y, dx } = await both(gelu, vector(-40, 0, 40), target);
    expect(y).toEqual([expect.closeTo(0), 0, 40]);
    expect(dx).toEqual([expect.closeTo(0), 0.5, 1]);
  });

  it("layerNorm is exact for means far from zero", async () => {
    const x = floats([1, 4], [4096.25, 4096.75, 4095.25, 4095.75]);
    const [one, zero] = [constant([1, 1, 1, 1]), constant([0, 0, 0, 0])];
    const { y } = await both((leaf) => layerNorm(leaf, one, zero, { epsilon: 0 }), x, target);
    const deviation = Math.sqrt((0.25 ** 2 + 0.75 ** 2) / 2);
    expect(y).toEqual([0.25, 0.75, -0.75, -0.25].map((value) => expect.closeTo(value / deviation, 6)));
  });

  it("softmax, logSoftmax and softplus do not overflow", async () => {
    const x = floats([1, 3], [1000, 0, -1000]);
    const soft = await both((leaf) => softmax(leaf, { axis: 1 }), x, target);
    expect(soft.y).toEqual([1, 0, 0]);
    const logs = await both((leaf) => logSoftmax(leaf, { axis: 1 }), x, target);
    expect(logs).toEqual({ y: [0, -1000, -2000], dx: [-2, 1, 1] });
    const plus = await both(softplus, vector(200, 0, -200), target);
    expect(plus.y).toEqual([200, Math.fround(Math.log(2)), 0]);
    expect(plus.dx).toEqual([1, 0.5, expect.closeTo(0)]);
  });

  it("logSoftmax of an entry of -infinity passes no gradient to it", async () => {
    const x = floats([1, 3], [0, -infinity, 0]);
    const { y, dx } = await both(
      (leaf) => where(greater(leaf, -1e30), logSoftmax(leaf, { axis: 1 }), 0),
      x,
      target,
    );
    expect(y[1]).toBe(0);
    expect(y[0]).toBeCloseTo(-Math.log(2), 6);
    expect(dx).toEqual([expect.closeTo(0), 0, expect.closeTo(0)]);
  });

  it("where hides what the other branch makes of its operand", async () => {
    const x = vector(4, 0, -1);
    const visible = (leaf: Tensor) => greater(leaf, 0);
    const root = await both(
      (leaf) => where(visible(leaf), sqrt(where(visible(leaf), leaf, 1)), 0),
      x,
      target,
    );
    expect(root).toEqual({ y: [2, 0, 0], dx: [0.25, 0, 0] });
    // A hidden branch that is infinite or NaN itself: its value is not seen, and gets a cotangent of exactly 0.
    const { y, dh } = await evaluate(
      [x],
      (leaf) => {
        const hidden = log(leaf);
        const value = where(visible(leaf), hidden, 7);
        return { y: value, dh: gradients(sum(value, { keepDims: false }), [hidden])[0]! };
      },
      target,
    );
    expect(numbers(y!)).toEqual([Math.fround(Math.log(4)), 7, 7]);
    expect(numbers(dh!)).toEqual([1, 0, 0]);
  });

  it("maxPool with a stride beyond its kernel leaves the elements between without gradient, also of infinity", async () => {
    const scaled = (leaf: Tensor) =>
      mul(maxPool(leaf, { kernel: [1], stride: 3 }), constant([2, infinity], { shape: [1, 1, 2] }));
    const { dx } = await both(scaled, floats([1, 1, 6], [1, 2, 3, 4, 5, 6]), target);
    expect(dx).toEqual([2, 0, 0, infinity, 0, 0]);
  });
});

describe("composites", () => {
  it("oneHot marks the class, and leaves a label out of range at zeros", async () => {
    const labels: HostTensor = { dtype: "int64", shape: [3], data: BigInt64Array.of(2n, 0n, 9n) };
    const { y } = await evaluate([labels], (leaf) => ({ y: oneHot(leaf, { depth: 3 }) }));
    expect(y!.shape).toEqual([3, 3]);
    expect(numbers(y!)).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 0]);
  });

  it("stack puts tensors along a new axis", async () => {
    const { first, last } = await evaluate([vector(1, 2), vector(3, 4)], (a, b) => ({
      first: stack([a, b], { axis: 0 }),
      last: stack([a, b], { axis: -1 }),
    }));
    expect(numbers(first!)).toEqual([1, 2, 3, 4]);
    expect(numbers(last!)).toEqual([1, 3, 2, 4]);
  });

  it("adaptive average pooling of a size that divides is plain pooling", async () => {
    const x = floats([1, 1, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8]);
    const { y } = await evaluate([x], (leaf) => ({ y: adaptiveAveragePool2d(leaf, [1, 2]) }));
    expect(numbers(y!)).toEqual([3.5, 5.5]);
  });

  it("numbers take the dtype of what they meet", async () => {
    const labels: HostTensor = { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 2n) };
    const { next, same, chosen } = await evaluate([labels], (leaf) => ({
      next: mul(leaf, 3),
      same: cast(equal(leaf, 2), { to: "int64" }),
      chosen: where(equal(leaf, 2), 1.5, 0),
    }));
    expect([next!.dtype, numbers(next!)]).toEqual(["int64", [3, 6]]);
    expect(numbers(same!)).toEqual([0, 1]);
    expect([chosen!.dtype, numbers(chosen!)]).toEqual(["float32", [0, 1.5]]);
  });

  it("variance refuses fewer values than it corrects for", () => {
    expect(() => variance(constant([1]), { correction: 1 })).toThrow(
      "variance: needs more than 1 values per result, found 1",
    );
  });

  it("dropout outside of a trace says where it is possible", () => {
    expect(() => dropout(constant([1]), { rate: 0.5, stream: "s" })).toThrow(/noise is only possible while/);
    expect(() => reciprocal(constant(1, { dtype: "int64" }))).toThrow(
      "reciprocal(int64 []): operands must be float32, found int64",
    );
  });
});
