import { describe, expect, it } from "vitest";
import { constant } from "../../src/graph/constant.js";
import { input } from "../../src/graph/leaf.js";
import { emitModel } from "../../src/onnx/emit.js";
import {
  gradients,
  isPositive,
  mul,
  sigmoid,
  stopGradient,
  straightThrough,
  sum,
} from "../../src/ops/index.js";
import { cpu, evaluate, numbers, vector } from "./evaluate.js";

const total = (x: Parameters<typeof sum>[0]) => sum(x, { keepDims: false });

describe("stopGradient", () => {
  it("keeps the values and lets no gradient through", async () => {
    const { y, dx } = await evaluate([vector(1, -2, 3)], (x) => {
      const y = mul(x, stopGradient(x));
      return { y, dx: gradients(total(y), [x])[0]! };
    });
    expect(numbers(y!)).toEqual([1, 4, 9]);
    expect(numbers(dx!)).toEqual([1, -2, 3]);
  });

  it("costs no node", () => {
    const x = input("x", [3]);
    const nodes = (y: typeof x) =>
      emitModel({
        target: cpu,
        inputs: new Map([["x", x]]),
        variables: new Map(),
        variablesAs: "inputs",
        outputs: new Map([["y", y]]),
        producerVersion: "0.0.0",
      }).nodeCount;
    expect(nodes(sigmoid(stopGradient(x)))).toBe(nodes(sigmoid(x)));
  });
});

describe("straightThrough", () => {
  const steps = [-3, -0.4, 0.1, 2];

  it("has exactly the hard values and the gradient of the soft ones, once and twice", async () => {
    const { y, first, soft, second, curvature } = await evaluate([vector(...steps)], (x) => {
      const smooth = sigmoid(x);
      const y = straightThrough(isPositive(x), smooth);
      const weights = constant([1, 2, 3, 4]);
      const [first] = gradients(total(mul(y, weights)), [x]);
      const [soft] = gradients(total(mul(smooth, weights)), [x]);
      return {
        y,
        first: first!,
        soft: soft!,
        second: gradients(total(first!), [x])[0]!,
        curvature: gradients(total(soft!), [x])[0]!,
      };
    });
    expect(numbers(y!)).toEqual([0, 0, 1, 1]);
    expect(numbers(first!)).toEqual(numbers(soft!));
    expect(numbers(second!)).toEqual(numbers(curvature!));
    expect(numbers(first!).every((slope) => slope > 0)).toBe(true);
  });

  it("lets nothing flow into the hard operand", async () => {
    const { dh, ds } = await evaluate([vector(...steps), vector(1, 2, 3, 4)], (hard, soft) => {
      const [dh, ds] = gradients(total(mul(straightThrough(hard, soft), 3)), [hard, soft]);
      return { dh: dh!, ds: ds! };
    });
    expect(numbers(dh!)).toEqual([0, 0, 0, 0]);
    expect(numbers(ds!)).toEqual([3, 3, 3, 3]);
  });
});
