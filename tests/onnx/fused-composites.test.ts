import { describe, expect, it } from "vitest";
import { constant } from "../../src/graph/constant.js";
import type { Target } from "../../src/graph/emitter.js";
import { trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { emitModel } from "../../src/onnx/emit.js";
import {
  add,
  gelu,
  gradients,
  layerNorm,
  mean,
  mul,
  reciprocal,
  sqrt,
  square,
  sub,
  sum,
} from "../../src/ops/index.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { cpu, relativeError } from "../ops/evaluate.js";

const portable: Target = { kind: "portable", opset: 18 };
/** Fuses nothing, so that its models are what the others are compared with. */
const plain: Target = { kind: "webgpu", opset: 19 };

const scale = constant([0.5, 1, -2, 1.5]);
const bias = constant([0, 0.25, 1, -1]);
const normalize = (x: Tensor) => layerNorm(x, scale, bias, { epsilon: 1e-5 });

/** The operators of a model of one input, and its results for a ramp. */
async function emitted(forward: (x: Tensor) => Record<string, Tensor>, target: Target) {
  const graph = trace(forward, { shape: [batch, 3, 4] });
  const { inputs, variables, outputs } = graph;
  const { bytes } = emitModel({
    target,
    inputs,
    variables,
    variablesAs: "initializers",
    outputs,
    producerVersion: "0",
  });
  const session = await nodeRuntime().createSession(bytes);
  const data = Float32Array.from({ length: 24 }, (_, index) => 3 * Math.sin(1.7 * index));
  const results = await session.run({ x: { dtype: "float32", shape: [2, 3, 4], data } });
  await session.close();
  return { operators: decodeModel(bytes).nodes.map(({ opType }) => opType), results };
}

async function expectSame(forward: (x: Tensor) => Record<string, Tensor>, target: Target) {
  const fused = await emitted(forward, target);
  const { results } = await emitted(forward, plain);
  for (const [name, value] of Object.entries(results)) {
    expect(relativeError(fused.results[name]!, value)).toBeLessThan(1e-6);
  }
  return fused.operators;
}

describe("composites that are one operator of ONNX", () => {
  it("are that operator where nothing reads their parts", async () => {
    const both = (x: Tensor) => ({ y: gelu(normalize(x)) });
    expect(await expectSame(both, cpu)).toEqual(["LayerNormalization", "Gelu"]);
    expect(await expectSame(both, portable)).toEqual([
      "LayerNormalization",
      ...["Mul", "Erf", "Add", "Mul", "Mul"],
    ]);
  });

  it("normalize over as many axes as the scale has", async () => {
    const planes = (x: Tensor) => ({
      y: layerNorm(
        x,
        constant(Array(12).fill(2), { shape: [3, 4] }),
        constant(Array(12).fill(1), { shape: [3, 4] }),
        {
          epsilon: 0.1,
        },
      ),
    });
    expect(await expectSame(planes, cpu)).toEqual(["LayerNormalization"]);
  });

  it("stay as they are where a result is one of their parts", async () => {
    const centered = (x: Tensor) => ({ y: normalize(x), part: sub(x, mean(x, { axes: [2] })) });
    expect(await expectSame(centered, cpu)).not.toContain("LayerNormalization");
  });

  it("stay as they are where gradients read the parts", async () => {
    const trained = (x: Tensor) => {
      const y = gelu(normalize(x));
      return { y, dx: gradients(sum(square(y), { keepDims: false }), [x])[0]! };
    };
    const graph = trace(trained, { shape: [2, 3, 4] });
    const { bytes } = emitModel({
      target: cpu,
      inputs: graph.inputs,
      variables: graph.variables,
      variablesAs: "inputs",
      outputs: graph.outputs,
      producerVersion: "0",
    });
    const operators = decodeModel(bytes).nodes.map(({ opType }) => opType);
    expect(operators).not.toContain("LayerNormalization");
    expect(operators).not.toContain("Gelu");
  });

  it("leave alone what only looks like them", async () => {
    const byRows = (x: Tensor) => {
      const centered = sub(x, mean(x, { axes: [1] }));
      const inverse = reciprocal(sqrt(add(mean(square(centered), { axes: [2] }), 1e-5)));
      return { y: add(mul(mul(centered, inverse), scale), bias), gelu: gelu(x) };
    };
    expect(await expectSame(byRows, cpu)).not.toContain("LayerNormalization");
    const halved = (x: Tensor) => ({ y: normalize(mul(gelu(x), 0.5)) });
    expect(await expectSame(halved, cpu)).toContain("Gelu");
  });
});
