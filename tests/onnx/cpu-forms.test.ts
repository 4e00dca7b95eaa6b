import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { constant } from "../../src/graph/constant.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import { batch, type Shape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { emitModel } from "../../src/onnx/emit.js";
import {
  add,
  batchNorm,
  conv,
  hardSwish,
  matmul,
  mean,
  mul,
  relu,
  reshape,
  swapLast,
  transpose,
} from "../../src/ops/index.js";
import { cpu, evaluate, floats, load, numbers, relativeError } from "../ops/evaluate.js";

function counted(shape: readonly number[]): HostTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return floats(
    shape,
    Array.from({ length: count }, (_, index) => index),
  );
}

/** The elements in the order that a transposition gives them. */
function transposed(shape: readonly number[], perm: readonly number[]): number[] {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  return perm.reduce<number[]>(
    (offsets, axis) =>
      offsets.flatMap((offset) =>
        Array.from({ length: shape[axis]! }, (_, index) => offset + index * strides[axis]!),
      ),
    [0],
  );
}

function permutations(axes: readonly number[]): number[][] {
  if (axes.length === 0) return [[]];
  return axes.flatMap((axis) =>
    permutations(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]),
  );
}

function operatorsOf(shape: Shape, body: (x: Tensor) => Tensor, target: Target): string[] {
  const x = input("x", shape);
  const { bytes } = emitModel({
    target,
    inputs: new Map([["x", x]]),
    variables: new Map(),
    variablesAs: "initializers",
    outputs: new Map([["y", body(x)]]),
    producerVersion: "0",
  });
  return decodeModel(bytes).nodes.map(({ opType }) => opType);
}

describe("a transposition on the CPU", () => {
  it.each([[[2, 3, 4, 5]], [[3, 2, 20, 2]], [[2, 1, 3, 17]]])(
    "of %j has the right elements in every order of axes",
    async (shape) => {
      const orders = permutations([0, 1, 2, 3]);
      const found = await evaluate([counted(shape)], (x) =>
        Object.fromEntries(orders.map((perm) => [perm.join(), transpose(x, { perm })])),
      );
      for (const perm of orders) {
        expect(numbers(found[perm.join()]!), perm.join()).toEqual(transposed(shape, perm));
      }
    },
  );

  it("of several axes has two steps, with a symbolic batch too", async () => {
    const reversed = (x: Tensor) => transpose(x, { perm: [0, 3, 2, 1] });
    const steps = ["Transpose", "Reshape", "Transpose", "Reshape"];
    for (const shape of [
      [2, 3, 4, 5],
      [batch, 3, 4, 5],
    ]) {
      expect(operatorsOf(shape, reversed, cpu)).toEqual(steps);
      expect(operatorsOf(shape, reversed, { kind: "portable", opset: 21 })).toEqual(["Transpose"]);
    }
    const x = input("x", [batch, 3, 4, 5]);
    const computation = await load([x], { y: reversed(x), z: transpose(x, { perm: [3, 2, 0, 1] }) });
    const { y, z } = await computation.run([counted([2, 3, 4, 5])]);
    await computation.close();
    expect(numbers(y!)).toEqual(transposed([2, 3, 4, 5], [0, 3, 2, 1]));
    expect(numbers(z!)).toEqual(transposed([2, 3, 4, 5], [3, 2, 0, 1]));
  });

  it("of one axis, or of long rows, has one step", () => {
    for (const perm of [
      [0, 2, 3, 1],
      [0, 1, 3, 2],
      [2, 1, 0, 3],
    ]) {
      expect(operatorsOf([2, 3, 4, 16], (x) => transpose(x, { perm }), cpu)).toEqual(["Transpose"]);
    }
  });
});

describe("products of stacks of matrices", () => {
  const product = (x: Tensor) => matmul(swapLast(x), swapLast(reshape(x, { shape: [2, 4, 3] })));

  it("read matrices as they were before their axes were exchanged", async () => {
    expect(operatorsOf([2, 3, 4], product, cpu)).toEqual(["Reshape", "FusedMatMul"]);
    expect(operatorsOf([2, 3, 4], product, { kind: "portable", opset: 21 })).toContain("MatMul");
    const values = [counted([2, 3, 4])];
    const [fused, plain] = [
      await evaluate(values, (x) => ({ y: product(x) })),
      await evaluate(values, (x) => ({ y: product(x) }), { kind: "portable", opset: 21 }),
    ];
    expect(numbers(fused.y!)).toEqual(numbers(plain.y!));
  });

  it("and of single matrices", () => {
    expect(operatorsOf([3, 4], (x) => matmul(x, swapLast(x)), cpu)).toEqual(["FusedMatMul"]);
  });
});

describe("a mean over positions", () => {
  const filters = constant(Float32Array.from({ length: 256 }, (_, index) => Math.sin(index)));
  const convolved = (x: Tensor) => conv(x, reshape(filters, { shape: [16, 16, 1, 1] }));
  const pooled = (x: Tensor) => mean(x, { axes: [2, 3] });

  it("behind a convolution is a pool, whatever is done to the elements in between", async () => {
    const normalized = (x: Tensor) => {
      const values = constant(new Array(16).fill(0.5));
      return hardSwish(batchNorm(x, values, values, values, values, { epsilon: 1e-5 }));
    };
    const bodies: ((x: Tensor) => Tensor)[] = [
      (x) => pooled(convolved(x)),
      (x) => pooled(relu(mul(convolved(x), 2))),
      (x) => pooled(normalized(convolved(x))),
      (x) => pooled(add(convolved(x), relu(convolved(relu(x))))),
    ];
    for (const body of bodies) {
      for (const samples of [2, batch]) {
        expect(operatorsOf([samples, 16, 3, 5], body, cpu)).toContain("GlobalAveragePool");
      }
      const portable = { kind: "portable", opset: 21 } as const;
      expect(operatorsOf([2, 16, 3, 5], body, portable)).not.toContain("GlobalAveragePool");
      const values = [counted([2, 16, 3, 5])];
      const pool = await evaluate(values, (x) => ({ y: body(x) }));
      const plain = await evaluate(values, (x) => ({ y: body(x) }), portable);
      expect(relativeError(pool.y!, plain.y!)).toBeLessThan(1e-6);
    }
  });

  it("is a mean elsewhere", () => {
    const gate = (x: Tensor) => mul(convolved(x), pooled(x));
    for (const body of [
      (x: Tensor) => pooled(relu(x)),
      (x: Tensor) => pooled(gate(x)),
      (x: Tensor) => pooled(add(convolved(x), x)),
      (x: Tensor) => mean(convolved(x), { axes: [1, 2, 3] }),
      (x: Tensor) => mean(convolved(x), { axes: [2, 3], keepDims: false }),
    ]) {
      expect(operatorsOf([2, 16, 3, 5], body, cpu)).not.toContain("GlobalAveragePool");
    }
  });
});
