import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { compareTensors, toleranceFor, worstOf } from "../../src/verify/compare.js";

const floats = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});
const integers = (...values: bigint[]): HostTensor => ({
  dtype: "int64",
  shape: [values.length],
  data: BigInt64Array.from(values),
});
const bools = (...values: number[]): HostTensor => ({
  dtype: "bool",
  shape: [values.length],
  data: Uint8Array.from(values),
});
const rule = { tolerance: 1e-5 };

describe("compareTensors", () => {
  it("measures the largest difference against the largest magnitude", () => {
    const result = compareTensors("y", floats(1, -3.75), floats(1, -4), { tolerance: 0.1 });
    expect(result).toEqual({ name: "y", error: 0.0625, tolerance: 0.1, passed: true });
  });

  it("names the element that differs most", () => {
    const result = compareTensors("y", floats(1, 2.5, 3), floats(1, 2, 3.25), rule);
    expect(result.passed).toBe(false);
    expect(result.problem).toBe("expected 2, found 2.5 at index 1");
  });

  it("compares vanishing references absolutely, by value or by name", () => {
    expect(compareTensors("g", floats(0.9e-4), floats(0), rule).passed).toBe(true);
    expect(compareTensors("g", floats(1.1e-4), floats(0), rule).passed).toBe(false);
    expect(compareTensors("g", floats(0.9e-4), floats(1e-9), { ...rule, zero: true }).passed).toBe(true);
    expect(compareTensors("g", floats(0.9e-4), floats(1e-9), rule).passed).toBe(false);
    expect(compareTensors("g", floats(1.1e-4), floats(1e-9), { ...rule, zero: true }).passed).toBe(false);
  });

  it("fails for NaN and for a wrong infinity, and takes equal infinities", () => {
    expect(compareTensors("y", floats(Number.NaN), floats(1), rule)).toMatchObject({
      passed: false,
      error: Number.POSITIVE_INFINITY,
      problem: "expected 1, found NaN at index 0",
    });
    expect(compareTensors("y", floats(Number.NaN), floats(Number.NaN), rule).passed).toBe(false);
    expect(compareTensors("y", floats(-Infinity, 1), floats(-Infinity, 1), rule).passed).toBe(true);
    expect(compareTensors("y", floats(-Infinity, 2), floats(-Infinity, 1), rule).passed).toBe(false);
    expect(compareTensors("y", floats(Infinity, 1), floats(-Infinity, 1), rule).passed).toBe(false);
  });

  it("wants int64 and bool exactly, also beyond 2^53", () => {
    const large = 2n ** 60n;
    expect(compareTensors("i", integers(large), integers(large), rule).passed).toBe(true);
    expect(compareTensors("i", integers(large + 1n), integers(large), rule).passed).toBe(false);
    expect(compareTensors("b", bools(1, 0), bools(1, 0), rule).passed).toBe(true);
    expect(compareTensors("b", bools(1, 1), bools(1, 0), { tolerance: 1, zero: true }).passed).toBe(false);
  });

  it("fails for what is missing, of another shape or another dtype", () => {
    expect(compareTensors("y", undefined, floats(1), rule)).toMatchObject({
      passed: false,
      problem: "missing",
    });
    expect(compareTensors("y", { ...floats(1, 2), shape: [1, 2] }, floats(1, 2), rule).problem).toBe(
      "expected float32 [2], found float32 [1, 2]",
    );
    expect(compareTensors("y", integers(1n), floats(1), rule).problem).toBe(
      "expected float32 [1], found int64 [1]",
    );
  });
});

describe("tolerances", () => {
  it("are thirty times PyTorch's own error, within bounds", () => {
    expect(toleranceFor(0)).toBe(1e-5);
    expect(toleranceFor(1e-6)).toBeCloseTo(3e-5, 10);
    expect(toleranceFor(1)).toBe(1e-3);
  });

  it("decide which comparison is the worst", () => {
    const near = { name: "near", error: 1e-4, tolerance: 1e-3, passed: true };
    const beyond = { name: "beyond", error: 2e-5, tolerance: 1e-5, passed: false };
    const exact = { name: "exact", error: 1, tolerance: 0, passed: false };
    const equal = { name: "equal", error: 0, tolerance: 0, passed: true };
    expect(worstOf([equal, near, beyond])?.name).toBe("beyond");
    expect(worstOf([beyond, exact, near])?.name).toBe("exact");
    expect(worstOf([equal])?.name).toBe("equal");
    expect(worstOf([])).toBeUndefined();
  });
});
