import { describe, expect, it } from "vitest";
import type { DType, HostTensor } from "../../src/base/dtype.js";
import { elementCount, hostArray } from "../../src/base/dtype.js";
import { ShapeError } from "../../src/base/errors.js";
import { constant } from "../../src/graph/constant.js";
import type { Target } from "../../src/graph/emitter.js";
import { operators } from "../../src/graph/operator.js";
import { concreteShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { gradients } from "../../src/ops/gradients.js";
import { expand, mul, sum } from "../../src/ops/index.js";
import { cpu, evaluate, leavesOf, load, relativeError } from "./evaluate.js";
import { agrees, directionalDerivatives } from "./finite-differences.js";
import { type OperatorSample, operatorSamples } from "./sample-values.js";

const portable: Target = { kind: "portable", opset: 20 };
const targets: readonly Target[] = [
  cpu,
  portable,
  { kind: "portable", opset: 18 },
  { kind: "webgpu", opset: 21 },
];

/** True where the operator maps float32 to float32, so that it needs a gradient. */
function isDifferentiable({ op, attributes, inputs }: OperatorSample): boolean {
  const result = op.apply(leavesOf(inputs), attributes);
  return result.dtype === "float32" && inputs.some(({ dtype }) => dtype === "float32");
}

const differentiable = operatorSamples.filter(isDifferentiable);

it("every operator has samples, and one that maps floats to floats has a gradient", () => {
  expect(operators().filter((op) => op.definition.samples.length === 0)).toEqual([]);
  const without = differentiable.filter(({ op }) => !op.definition.gradient);
  expect(without.map(({ title }) => title)).toEqual([]);
});

describe.each(operatorSamples)("$title", (sample) => {
  const { op, attributes, inputs } = sample;

  it("has the type that ONNX Runtime returns, and equal values on every target", async () => {
    const leaves = leavesOf(inputs);
    const y = op.apply(leaves, attributes);
    const results: HostTensor[] = [];
    for (const target of targets)
      results.push((await evaluate(inputs, (...x) => ({ y: op.apply(x, attributes) }), target)).y!);
    for (const result of results) {
      expect({ shape: result.shape, dtype: result.dtype }).toEqual({ shape: y.shape, dtype: y.dtype });
      expect(result.data.length).toBe(elementCount(concreteShape(y.shape)));
      expect(relativeError(result, results[0]!)).toBeLessThan(1e-6);
    }
  });

  it("refuses what ONNX Runtime cannot run, and has the type that it returns for other dtypes", async () => {
    for (const [index, { shape, dtype }] of inputs.entries()) {
      for (const other of (["float32", "int64", "bool"] as const).filter((name) => name !== dtype)) {
        const changed = inputs.with(index, filled(other, shape));
        await expectTyped(op.opName, changed, (leaves) => op.apply(leaves, attributes));
      }
    }
    for (const other of ["int64", "bool"] as const) {
      const changed = inputs.map(({ shape }) => filled(other, shape));
      await expectTyped(op.opName, changed, (leaves) => op.apply(leaves, attributes));
    }
  });
});

describe.each(operatorSamples.filter(({ op }) => op.definition.again))("$title once more", (sample) => {
  it("has the same values", async () => {
    const { op, attributes, inputs } = sample;
    const { y, again } = await evaluate(inputs, (...x) => ({
      y: op.apply(x, attributes),
      again: op.definition.again!(x),
    }));
    expect(again).toEqual(y);
  });
});

function filled(dtype: DType, shape: readonly number[]): HostTensor {
  const data = hostArray(dtype, elementCount(shape));
  if (data instanceof BigInt64Array) data.fill(1n);
  else data.fill(1);
  return { dtype, shape, data };
}

/** Either the type rule refuses the call, or ONNX Runtime runs it and agrees about the type. */
async function expectTyped(
  name: string,
  values: readonly HostTensor[],
  apply: (leaves: readonly Tensor[]) => Tensor,
): Promise<void> {
  const leaves = leavesOf(values);
  let y: Tensor;
  try {
    y = apply(leaves);
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeError);
    expect((error as Error).message).toContain(`${name}(`);
    return;
  }
  const computation = await load(leaves, { y });
  const result = (await computation.run(values)).y!;
  await computation.close();
  expect({ shape: result.shape, dtype: result.dtype }).toEqual({ shape: y.shape, dtype: y.dtype });
}

describe.each(differentiable)("gradient of $title", (sample) => {
  const { op, attributes, inputs } = sample;

  it.each([cpu, portable])("agrees with finite differences on $kind", async (target) => {
    const derivatives = await directionalDerivatives((x) => [op.apply(x, attributes)], inputs, { target });
    expect(derivatives.length).toBe(inputs.filter(({ dtype }) => dtype === "float32").length);
    expect(derivatives.filter((derivative) => !agrees(derivative))).toEqual([]);
    // The test sees an error of 10 %.
    for (const derivative of derivatives) {
      if (derivative.fromGradient === 0) continue;
      expect(agrees({ ...derivative, fromGradient: 0.9 * derivative.fromGradient })).toBe(false);
    }
  });

  it("has a gradient that agrees with finite differences", async () => {
    const shape = concreteShape(op.apply(leavesOf(inputs), attributes).shape);
    const cotangent: HostTensor = {
      dtype: "float32",
      shape,
      data: Float32Array.from({ length: elementCount(shape) }, (_, index) => 0.5 + (index % 5) / 4),
    };
    const derivatives = await directionalDerivatives(
      (all) => {
        const x = all.slice(0, -1);
        const wrt = x.filter((leaf) => leaf.dtype === "float32");
        return gradients(op.apply(x, attributes), wrt, { cotangent: all.at(-1)! });
      },
      [...inputs, cotangent],
    );
    expect(derivatives.filter((derivative) => !agrees(derivative))).toEqual([]);
  });

  it("is the same for a cotangent that is still to be stretched", async () => {
    const results = await evaluate(inputs, (...x) => {
      const wrt = x.filter((leaf) => leaf.dtype === "float32");
      const y = op.apply(x, attributes);
      const all = y.shape.map((_, axis) => axis);
      const outputs: Record<string, Tensor> = {};
      for (const axes of [all, ...all.map((axis) => [axis])]) {
        const reduced = sum(y, { axes });
        const count = elementCount(concreteShape(reduced.shape));
        const weights = constant(
          Array.from({ length: count }, (_, index) => 1 - (index % 5) / 4),
          { shape: concreteShape(reduced.shape) },
        );
        // The gradient of a sum has size 1 along its axes.
        const lazy = gradients(sum(mul(reduced, weights), { keepDims: false }), wrt);
        const full = gradients(y, wrt, { cotangent: expand(weights, { shape: y.shape }) });
        for (const index of wrt.keys()) {
          outputs[`${axes} full ${index}`] = full[index]!;
          outputs[`${axes} lazy ${index}`] = lazy[index]!;
        }
      }
      return outputs;
    });
    for (const [name, full] of Object.entries(results)) {
      if (!name.includes("full")) continue;
      expect(relativeError(results[name.replace("full", "lazy")]!, full)).toBeLessThan(2e-6);
    }
  });
});
