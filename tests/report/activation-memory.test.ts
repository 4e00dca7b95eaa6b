import { describe, expect, it } from "vitest";
import { input } from "../../src/graph/leaf.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { constantValue, parameter } from "../../src/nn/variables.js";
import { relu, sigmoid } from "../../src/ops/activation.js";
import { add, mul } from "../../src/ops/arithmetic.js";
import { gradients } from "../../src/ops/gradients.js";
import { matmul } from "../../src/ops/matmul.js";
import { sum } from "../../src/ops/reduce.js";
import { reshape } from "../../src/ops/shape.js";
import { activationMemory } from "../../src/report/activation-memory.js";

const x = () => input("x", [2, 3, 4]);
const bytes = 4 * 2 * 3 * 4;

function memory(y: Tensor, wrt: readonly Tensor[]) {
  return activationMemory([y], gradients(y, wrt, { cotangent: input("dy", y.shape) }));
}

describe("activationMemory", () => {
  it("counts what is computed and keeps what the gradient reads", () => {
    const leaf = x();
    // The gradient of a sigmoid reads its result, that of a sum nothing.
    expect(memory(add(sigmoid(leaf), 1), [leaf])).toEqual({ forward: 2 * bytes, kept: bytes });
    expect(memory(add(add(leaf, 1), 1), [leaf])).toEqual({ forward: 2 * bytes, kept: 0 });
  });

  it("keeps inputs that the gradient reads", () => {
    const leaf = x();
    expect(memory(mul(leaf, leaf), [leaf])).toEqual({ forward: bytes, kept: bytes });
    // A product's gradient for its weight reads the input, that for the input the weight.
    const weight = parameter([4, 5], constantValue(1));
    const y = matmul(leaf, weight);
    expect(memory(y, [weight])).toEqual({ forward: 4 * 2 * 3 * 5, kept: bytes });
    expect(memory(y, [leaf])).toEqual({ forward: 4 * 2 * 3 * 5, kept: 0 });
  });

  it("counts equal calls once and views not at all", () => {
    const leaf = x();
    const twice = add(sigmoid(leaf), sigmoid(leaf));
    expect(memory(twice, [leaf])).toEqual({ forward: 2 * bytes, kept: bytes });
    const flat = reshape(sigmoid(leaf), { shape: [2, 12] });
    expect(memory(mul(flat, flat), [leaf])).toEqual({ forward: 2 * bytes, kept: bytes });
  });

  it("does not count what the backward pass computes for itself", () => {
    const leaf = x();
    const loss = sum(relu(leaf), { keepDims: false });
    const { forward, kept } = activationMemory([loss], gradients(loss, [leaf]));
    expect(forward).toBe(bytes + 4);
    expect(kept).toBeLessThanOrEqual(bytes);
  });
});
