import { describe, expect, it, test } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { ancestors } from "../../src/graph/ancestors.js";
import { trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { checkpointed } from "../../src/nn/checkpointed.js";
import { Dropout } from "../../src/nn/dropout.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { Sequential } from "../../src/nn/sequential.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { emitModel } from "../../src/onnx/emit.js";
import {
  add,
  checkpoint,
  exp,
  gradients,
  greater,
  maskedSoftmax,
  matmul,
  mean,
  mul,
  relu,
  sigmoid,
  square,
  sum,
  swapLast,
  tanh,
  where,
} from "../../src/ops/index.js";
import { activationMemory } from "../../src/report/activation-memory.js";
import { compile } from "../../src/runtime/executable.js";
import { cpu, evaluate, floats, leavesOf, numbers, relativeError } from "./evaluate.js";

const ramp = (shape: readonly number[], scale = 1): HostTensor =>
  floats(
    shape,
    Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, i) => scale * Math.sin(1.3 * i + shape.length),
    ),
  );

const total = (x: Tensor) => sum(x, { keepDims: false });

type Wrap = typeof checkpoint;
const plain: Wrap = (body) => body;

/** The results of a computation that is built with and without checkpoints. */
async function both(
  values: readonly HostTensor[],
  build: (wrap: Wrap, ...inputs: Tensor[]) => Readonly<Record<string, Tensor>>,
): Promise<[HostTensor[], HostTensor[]]> {
  const results = [];
  for (const wrap of [checkpoint, plain]) {
    results.push(Object.values(await evaluate(values, (...inputs) => build(wrap, ...inputs))));
  }
  return results as [HostTensor[], HostTensor[]];
}

/** Gradients are added in another order, so that the last bits may differ. */
function expectClose(found: readonly HostTensor[], expected: readonly HostTensor[]): void {
  expect(found.length).toBe(expected.length);
  for (const [index, value] of found.entries()) {
    expect(relativeError(value, expected[index]!)).toBeLessThan(1e-6);
  }
}

/** How often an operator is in the emitted model. */
function count(opType: string, leaves: readonly Tensor[], outputs: readonly Tensor[]): number {
  const { bytes } = emitModel({
    target: cpu,
    inputs: new Map(leaves.map((leaf, index) => [`input${index}`, leaf])),
    variables: new Map(),
    variablesAs: "inputs",
    outputs: new Map(outputs.map((tensor, index) => [`output${index}`, tensor])),
    producerVersion: "0.0.0",
  });
  return decodeModel(bytes).nodes.filter((node) => node.opType === opType).length;
}

const x = ramp([3, 4]);
const w = ramp([4, 4], 0.5);

/** Bodies of two tensors with results of several kinds. */
const bodies: Record<string, (wrap: Wrap, x: Tensor, w: Tensor) => Tensor> = {
  "a chain": (wrap, a, b) => wrap((v: Tensor) => tanh(matmul(exp(v), b)))(a),
  "stages one after the other": (wrap, a, b) => {
    const stage = wrap((v: Tensor) => sigmoid(matmul(tanh(v), b)));
    return stage(stage(stage(a)));
  },
  "several results": (wrap, a, b) => {
    const { left, right } = wrap((v: Tensor) => {
      const hidden = exp(v);
      return { left: matmul(hidden, b), right: tanh(hidden) };
    })(a);
    return add(mul(left, right), left);
  },
  "an array of which one is read": (wrap, a, b) => wrap((v: Tensor) => [exp(matmul(v, b)), tanh(v)])(a)[0]!,
  "a result from another": (wrap, a, b) => {
    const [first, second] = wrap((v: Tensor) => {
      const hidden = exp(matmul(v, b));
      return [hidden, square(hidden)] as const;
    })(a);
    return mul(tanh(first), second);
  },
  "an argument handed back": (wrap, a, b) => {
    const [same, other] = wrap((v: Tensor) => [v, exp(matmul(v, b))] as const)(a);
    return mul(same, other);
  },
  "checkpoints in each other": (wrap, a, b) =>
    wrap((v: Tensor) => {
      const inner = wrap((u: Tensor) => tanh(mul(exp(u), sigmoid(u))));
      return matmul(inner(inner(v)), b);
    })(a),
  "attention with a mask": (wrap, a, b) =>
    wrap((v: Tensor) => {
      const scores = matmul(v, swapLast(matmul(v, b))); // [3, 3]
      const visible = greater(scores, -0.2);
      return matmul(maskedSoftmax(where(visible, scores, Number.NEGATIVE_INFINITY), { axis: -1 }), v);
    })(a),
};

describe.each(Object.entries(bodies))("%s", (_name, body) => {
  const build = (wrap: Wrap, a: Tensor, b: Tensor) => {
    // Read outside and inside, so that cotangents of both ways meet.
    const y = body(wrap, mul(a, 1.5), b);
    const loss = total(add(square(y), mul(total(tanh(a)), 0.1)));
    const [da, db] = gradients(loss, [a, b]);
    return { loss, da: da!, db: db! };
  };

  it("has the same value and gradients", async () => {
    expectClose(...(await both([x, w], build)));
  });

  it("has the same gradients of gradients", async () => {
    const results = await both([x, w], (wrap, a, b) => {
      const { da } = build(wrap, a, b);
      const [daa, dab] = gradients(total(square(da)), [a, b]);
      return { daa: daa!, dab: dab! };
    });
    expectClose(...results);
  });
});

test("the inside is computed again, from the boundary", () => {
  const leaves = leavesOf([x, w]);
  const [a, b] = leaves as [Tensor, Tensor];
  const build = (wrap: Wrap) => {
    const stage = wrap((v: Tensor) => tanh(exp(matmul(v, b))));
    const loss = total(square(stage(stage(a))));
    return [loss, ...gradients(loss, [a, b])];
  };
  expect([plain, checkpoint].map((wrap) => count("Exp", leaves, build(wrap)))).toEqual([2, 4]);
});

test("checkpoints in each other are computed a third time", () => {
  const leaves = leavesOf([x]);
  const stage = checkpoint((v: Tensor) => tanh(checkpoint((u: Tensor) => square(exp(u)))(v)));
  const loss = total(square(stage(leaves[0]!)));
  expect(count("Exp", leaves, [loss, ...gradients(loss, leaves)])).toBe(3);
});

test("without gradients nothing is left of it", () => {
  const leaves = leavesOf([x]);
  const [first] = checkpoint((v: Tensor) => [exp(v), tanh(v)])(leaves[0]!);
  expect(count("Exp", leaves, [first!])).toBe(1);
  expect(count("Sub", leaves, [first!])).toBe(0);
  expect(count("Tanh", leaves, [first!])).toBe(0);
});

test("the backward pass keeps the inputs of the stages alone", () => {
  const depth = 6;
  const kept = [plain, checkpoint].map((wrap) => {
    const [a] = leavesOf([ramp([8, 16])]) as [Tensor];
    const stage = wrap((v: Tensor) => tanh(mul(sigmoid(v), exp(tanh(v)))));
    let value = a;
    for (let index = 0; index < depth; index++) value = stage(value);
    const loss = total(square(value));
    return activationMemory([loss], gradients(loss, [a])).kept;
  });
  const bytes = 4 * 8 * 16;
  // Each stage's input, and the last one's result.
  expect(kept[1]).toBe((depth + 1) * bytes);
  expect(kept[0]).toBeGreaterThan(3 * depth * bytes);
});

test("a stage is computed again when the gradients of the stage after it are there", () => {
  const [before, after] = [plain, checkpoint].map((wrap) => {
    const [a, first, second] = leavesOf([x, w, w]) as [Tensor, Tensor, Tensor];
    const stage = wrap((v: Tensor, weight: Tensor) => tanh(matmul(v, weight)));
    const y = stage(stage(a, first), second);
    const [ofFirst, ofSecond] = gradients(total(square(y)), [first, second]) as [Tensor, Tensor];
    return ancestors([ofFirst]).has(ofSecond);
  });
  // Otherwise ONNX Runtime puts off the gradients of all parameters, and what they need is held.
  expect([before, after]).toEqual([false, true]);
});

test("the gradient with respect to a tensor inside is that of the first pass", async () => {
  const [repeated, kept] = await both([x, w], (wrap, a, b) => {
    let inside: Tensor | undefined;
    const y = wrap((v: Tensor) => {
      inside = exp(matmul(v, b));
      return tanh(inside);
    })(a);
    const [dInside, da] = gradients(total(square(y)), [inside!, a]);
    return { dInside: dInside!, da: da! };
  });
  expectClose(repeated, kept);
  expect(Math.max(...numbers(repeated[0]!))).toBeGreaterThan(0);
});

test("a tensor that leaves by another way than the results has both gradients", async () => {
  const [repeated, kept] = await both([x, w], (wrap, a, b) => {
    let leaked: Tensor | undefined;
    const y = wrap((v: Tensor) => {
      leaked = exp(matmul(v, b));
      return tanh(leaked);
    })(a);
    const [da, db] = gradients(total(add(square(y), leaked!)), [a, b]);
    return { da: da!, db: db! };
  });
  expectClose(repeated, kept);
});

/** Normalization, dropout and a tap, so that everything that a trace collects comes up. */
class Stage extends Module {
  readonly linear = new Linear({ inFeatures: 4, outFeatures: 4 });
  readonly norm = new BatchNorm({ channels: 4 });
  readonly drop = new Dropout({ rate: 0.4 });

  forward(v: Tensor): Tensor {
    const hidden = this.tap("hidden", relu(this.norm.forward(this.linear.forward(v))));
    return add(v, this.drop.forward(hidden));
  }
}

describe("stages of a network", () => {
  const model = new Sequential(new Stage(), new Stage());
  const traced = (): ReturnType<typeof trace> => {
    const graph = trace(model, { shape: [6, 4] }, { training: true });
    const parameters = [...graph.variables].filter(([, variable]) => variable.trainable);
    const loss = mean(square(graph.outputs.get("y")!), { keepDims: false });
    const slopes = gradients(
      loss,
      parameters.map(([, parameter]) => parameter),
    );
    const outputs = parameters.map(([path], index) => [path, slopes[index]!] as const);
    return { ...graph, outputs: new Map([["loss", loss], ...outputs]) };
  };
  const results = async (graph: ReturnType<typeof trace>) => {
    const executable = await compile(graph, { taps: ["*"], seed: 3 });
    const result = await executable.run({ x: ramp([6, 4]) }, { step: 1 });
    await executable.close();
    return Object.values(result).flatMap((group: Readonly<Record<string, HostTensor>>) =>
      Object.entries(group).map(([name, value]) => [name, numbers(value)] as const),
    );
  };

  it("have equal gradients, taps, updated buffers, noise and paths", async () => {
    const before = traced();
    const expected = await results(before);
    for (const layer of model.layers) checkpointed(layer);
    const after = traced();
    expect([...after.variables.keys()]).toEqual([...before.variables.keys()]);
    expect(after.noise.map(({ stream }) => stream)).toEqual(before.noise.map(({ stream }) => stream));
    expect([...after.taps.keys()]).toEqual(["0.hidden", "1.hidden"]);
    expect(after.updates.size).toBe(before.updates.size);
    const found = await results(after);
    expect(found.map(([name]) => name)).toEqual(expected.map(([name]) => name));
    for (const [index, [, value]] of found.entries()) {
      for (const [at, one] of value.entries()) expect(one).toBeCloseTo(expected[index]![1][at]!, 6);
    }
    expect(found.find(([name]) => name === "1.norm.runningMean")![1].some((value) => value !== 0)).toBe(true);
  });

  it("can be other methods than forward", async () => {
    class Encoder extends Module {
      readonly linear = new Linear({ inFeatures: 4, outFeatures: 4 });

      encode(x: Tensor): { y: Tensor } {
        return { y: tanh(this.linear.forward(x)) };
      }
    }
    const encoder = new Encoder();
    const kept = encoder.encode;
    expect(checkpointed(encoder, "encode")).toBe(encoder);
    expect(encoder.encode).not.toBe(kept);
    expect(Object.keys(encoder)).not.toContain("encode");
    const slopes = await Promise.all(
      [kept.bind(encoder), encoder.encode].map(async (encode) => {
        const body = (x: Tensor) => gradients(sum(encode(x).y, { keepDims: false }), [x])[0]!;
        const executable = await compile(trace(body, { shape: [2, 4] }, { model: encoder }));
        const { outputs } = await executable.run({ x: ramp([2, 4]) });
        await executable.close();
        return numbers(outputs.y!);
      }),
    );
    expect(slopes[1]).toEqual(slopes[0]);
    expect(slopes[0]!.some((slope) => slope !== 0)).toBe(true);
  });
});
