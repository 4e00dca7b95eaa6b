import { describe, expect, it, test } from "vitest";
import { mechanismClasses } from "../../src/attention/catalogue.js";
import { DoubleAttention } from "../../src/attention/spatial/a2.js";
import { DANetPosition } from "../../src/attention/spatial/danet-position.js";
import { NonLocal } from "../../src/attention/spatial/non-local.js";
import { MultiHeadAttention } from "../../src/attention/transformer/mha.js";
import { QkvAttention } from "../../src/attention/transformer/qkv-attention.js";
import { ScaledDotProductAttention } from "../../src/attention/transformer/sdpa.js";
import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { ancestors } from "../../src/graph/ancestors.js";
import { hostCallsOf } from "../../src/graph/host-call.js";
import { type Graph, type InputType, initialize, type Model, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { emitModel } from "../../src/onnx/emit.js";
import { lower } from "../../src/onnx/lowering/index.js";
import { type AttentionLimits, attentionLimits } from "../../src/onnx/lowering/limits.js";
import { fusedSelfAttention } from "../../src/ops/fused-self-attention.js";
import {
  add,
  gradients,
  matmul,
  mean,
  mul,
  relu,
  reshape,
  softmax,
  square,
  sum,
  swapLast,
  transpose,
} from "../../src/ops/index.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { type Trial, traceCall, trialsOf, typesOf, valuesOf } from "../attention/trial.js";
import { cpu, leavesOf, relativeError } from "../ops/evaluate.js";

const portable = { kind: "portable", opset: 20 } as const;

/** Everything large enough, so that small tensors take every form. */
const tiny: AttentionLimits = {
  mapFrom: 1,
  projectedFrom: 1,
  mapRatio: 0,
  fusedElements: 24,
  blockElements: 8,
  leastRatio: 0,
};

const never: AttentionLimits = {
  mapFrom: Number.POSITIVE_INFINITY,
  projectedFrom: Number.POSITIVE_INFINITY,
  mapRatio: 0,
  fusedElements: Number.POSITIVE_INFINITY,
  blockElements: Number.POSITIVE_INFINITY,
  leastRatio: Number.POSITIVE_INFINITY,
};

type Results = Record<string, HostTensor>;

interface Emitted {
  readonly operators: readonly string[];
  run(feeds: Readonly<Record<string, HostTensor>>): Promise<Results>;
}

/** A graph as a model, its attention lowered by other limits than the usual ones. */
async function emitted(
  graph: Graph,
  options: {
    readonly limits?: AttentionLimits;
    readonly target?: typeof cpu;
    readonly taps?: readonly string[];
  } = {},
): Promise<Emitted> {
  const { limits, target = cpu, taps = [] } = options;
  const named = [...graph.outputs, ...taps.map((name) => [name, graph.taps.get(name)!] as const)];
  const tensors = named.map(([, tensor]) => tensor);
  const lowered = limits ? lower(tensors, target, limits) : tensors;
  const { bytes, usedInputs } = emitModel({
    target,
    inputs: graph.inputs,
    variables: graph.variables,
    variablesAs: "initializers",
    outputs: new Map(named.map(([name], index) => [name, lowered[index]!])),
    producerVersion: "0.0.0",
  });
  return {
    operators: decodeModel(bytes).nodes.map(({ opType }) => opType),
    run: async (feeds) => {
      const session = await nodeRuntime().createSession(bytes);
      const used = Object.entries(feeds).filter(([name]) => usedInputs.includes(name));
      const results = await session.run(Object.fromEntries(used));
      await session.close();
      return results;
    },
  };
}

function expectEqual(found: Results, expected: Results, tolerance = 1e-5): void {
  for (const [name, value] of Object.entries(found)) {
    if (value.dtype === "float32") expect(relativeError(value, expected[name]!)).toBeLessThan(tolerance);
    else expect(value).toEqual(expected[name]);
  }
}

const ramp = (shape: readonly number[], phase: number): HostTensor => ({
  dtype: "float32",
  shape,
  data: new Float32Array(elementCount(shape)).map((_, i) => Math.sin(1.7 * i + phase + i ** 0.5)),
});

function prepared<M extends Model>(model: M): M {
  initialize(model, { seed: 4 });
  return model;
}

const valued = (types: Readonly<Record<string, readonly number[]>>) =>
  Object.fromEntries(Object.entries(types).map(([name, shape], index) => [name, ramp(shape, index)]));

/** Inputs with a batch of two, and their types with a symbolic one. */
function typed(
  types: Readonly<Record<string, readonly number[]>>,
  symbolic: boolean,
): Record<string, InputType> {
  return Object.fromEntries(
    Object.entries(types).map(([name, shape]) => [
      name,
      { shape: symbolic && shape[0] === 2 ? [batch, ...shape.slice(1)] : shape },
    ]),
  );
}

interface Case {
  readonly model: Model;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly map: string;
  /** How it is computed in a session of our own. */
  readonly form: "fused" | "projected" | "blocked" | "reordered";
}

const tokens = { query: [2, 130, 6], key: [2, 140, 6], value: [2, 140, 5] };
const large = { query: [2, 2100, 4], key: [2, 2100, 4], value: [2, 2100, 3] };
const image = { x: [2, 6, 12, 13] };

const cases: Record<string, Case> = {
  "non-local, embedded Gaussian": {
    model: new NonLocal({ channels: 6, subSample: false, scale: "inner" }),
    inputs: image,
    map: "attention",
    form: "fused",
  },
  "non-local, Gaussian": {
    model: new NonLocal({ channels: 6, mode: "gaussian", subSample: false }),
    inputs: image,
    map: "attention",
    form: "fused",
  },
  "non-local, dot product": {
    model: new NonLocal({ channels: 6, mode: "dot-product", subSample: false }),
    inputs: image,
    map: "attention",
    form: "reordered",
  },
  "non-local, concatenation": {
    model: new NonLocal({ channels: 2, innerChannels: 1, mode: "concatenation", subSample: false }),
    inputs: { x: [2, 2, 46, 47] },
    map: "attention",
    form: "blocked",
  },
  "position attention": {
    model: new DANetPosition({ channels: 6, reduction: 2 }),
    inputs: image,
    map: "attention",
    form: "fused",
  },
  "double attention, all pairs first": {
    model: new DoubleAttention({ channels: 6, descriptors: 4, order: "attention-first" }),
    inputs: image,
    map: "attentionMaps",
    form: "reordered",
  },
  "scaled dot product": {
    model: new ScaledDotProductAttention({}),
    inputs: tokens,
    map: "attention",
    form: "fused",
  },
  "scaled dot product with a mask": {
    model: new ScaledDotProductAttention({ causal: true }),
    inputs: { ...large, mask: [2100, 2100] },
    map: "attention",
    form: "blocked",
  },
  "general score": {
    model: new QkvAttention({ score: "general", queryDim: 6, keyDim: 6 }),
    inputs: tokens,
    map: "attention",
    form: "fused",
  },
  "additive score": {
    model: new QkvAttention({ score: "additive", queryDim: 4, keyDim: 4, hiddenDim: 32 }),
    inputs: { query: [2, 360, 4], key: [2, 400, 4], value: [2, 400, 3] },
    map: "attention",
    form: "blocked",
  },
  "several heads": {
    model: new MultiHeadAttention({ embedDim: 8, heads: 2 }),
    inputs: { query: [2, 130, 8] },
    map: "attention",
    form: "fused",
  },
  "several heads of one projection": {
    model: new MultiHeadAttention({ embedDim: 8, heads: 2, qkvFused: true }),
    inputs: { query: [2, 130, 8] },
    map: "attention",
    form: "fused",
  },
  "several heads, fewer tokens": {
    model: new MultiHeadAttention({ embedDim: 16, heads: 2 }),
    inputs: { query: [2, 40, 16] },
    map: "attention",
    form: "projected",
  },
  "several heads of one projection, fewer tokens": {
    model: new MultiHeadAttention({ embedDim: 16, heads: 2, qkvFused: true, attnHeadDim: 12 }),
    inputs: { query: [2, 40, 16] },
    map: "attention",
    form: "projected",
  },
  "several heads, many tokens and a mask": {
    model: new MultiHeadAttention({ embedDim: 4, heads: 2 }),
    inputs: { query: [2, 1500, 4], mask: [1500, 1500] },
    map: "attention",
    form: "blocked",
  },
};

const formOperators = {
  fused: "MultiHeadAttention",
  projected: "Attention",
  blocked: "Concat",
  reordered: "FusedMatMul",
} as const;

describe.each(Object.entries(cases))("%s", (_name, { model, inputs, map, form }) => {
  const types = typed(inputs, true);
  const graph = trace(prepared(model), types.x ?? types);
  const feeds = valued(inputs);

  it("has equal values without its map, for a session and as an export, whatever the batch", async () => {
    const tapped = await emitted(graph, { taps: [map] });
    const expected = await tapped.run(feeds);
    for (const operator of ["MultiHeadAttention", "Attention"]) {
      expect(tapped.operators).not.toContain(operator);
    }
    for (const target of [cpu, portable]) {
      const untapped = await emitted(graph, { target });
      expectEqual(await untapped.run(feeds), expected);
      if (form === "blocked" || target === cpu) expect(untapped.operators).toContain(formOperators[form]);
      if ((form === "fused" || form === "projected") && target === cpu)
        expect(untapped.operators).not.toContain("Softmax");
    }
  });
});

test.each(Object.entries(cases).filter(([, { form }]) => form === "reordered"))(
  "%s holds nothing of the map's size",
  (_name, { model, inputs }) => {
    const graph = trace(prepared(model), { shape: inputs.x! });
    const largest = (roots: readonly Tensor[]) =>
      Math.max(...[...ancestors(roots)].map(({ shape }) => elementCount(shape as readonly number[])));
    const outputs = [...graph.outputs.values()];
    expect(largest(outputs)).toBe(2 * 156 ** 2);
    expect(largest(lower(outputs, portable))).toBe(2 * 6 * 156);
  },
);

describe("a map", () => {
  const inputs = { query: [2, 150, 4], key: [2, 150, 4], value: [2, 150, 3] };
  const operatorsOf = (build: (q: Tensor, k: Tensor, v: Tensor) => Record<string, Tensor>) => {
    const leaves = leavesOf(Object.values(valued(inputs)));
    const outputs = build(...(leaves as [Tensor, Tensor, Tensor]));
    const { bytes } = emitModel({
      target: cpu,
      inputs: new Map(leaves.map((leaf, index) => [`input${index}`, leaf])),
      variables: new Map(),
      variablesAs: "inputs",
      outputs: new Map(Object.entries(outputs)),
      producerVersion: "0.0.0",
    });
    return decodeModel(bytes).nodes.map(({ opType }) => opType);
  };
  const weights = (q: Tensor, k: Tensor) => softmax(mul(matmul(q, swapLast(k)), 0.5), { axis: -1 });

  it("that nothing else reads is not made", () => {
    expect(operatorsOf((q, k, v) => ({ y: matmul(weights(q, k), v) }))).toContain("MultiHeadAttention");
  });

  it.each(["portable", "webgpu"] as const)("is left to standard operators on %s", (kind) => {
    const [x] = leavesOf([ramp([2, 150, 4], 0)]) as [Tensor];
    const y = matmul(weights(x, x), x);
    expect(lower([y], { kind, opset: 19 })).toEqual([y]);
    expect(lower([y], cpu)).not.toEqual([y]);
  });

  it("that something else reads is made", () => {
    const operators = operatorsOf((q, k, v) => {
      const map = weights(q, k);
      return { y: matmul(map, v), highest: relu(map) };
    });
    expect(operators).not.toContain("MultiHeadAttention");
  });

  it("of which the scores are read is made", () => {
    const operators = operatorsOf((q, k, v) => {
      const scores = matmul(q, swapLast(k));
      return { y: matmul(softmax(scores, { axis: -1 }), v), mean: mean(scores) };
    });
    expect(operators).not.toContain("MultiHeadAttention");
  });

  it("that gradients read is made", () => {
    const operators = operatorsOf((q, k, v) => {
      const loss = sum(square(matmul(weights(q, k), v)), { keepDims: false });
      const [dq] = gradients(loss, [q]);
      return { loss, dq: dq! };
    });
    expect(operators).not.toContain("MultiHeadAttention");
  });

  it.each([
    ["", [2, 50, 4]],
    [" beside what it is made of", [2, 150, 20]],
  ])("that is small%s stays", (_beside, shape) => {
    const [x] = leavesOf([ramp(shape, 0)]) as [Tensor];
    const y = matmul(weights(x, x), x);
    expect(lower([y], cpu)).toEqual([y]);
  });
});

test("the hidden layer of a perceptron is not taken for a map", () => {
  const [x, first, second] = leavesOf([ramp([5000, 300], 0), ramp([300, 1200], 1), ramp([1200, 300], 2)]);
  const y = matmul(relu(matmul(x!, first!)), second!);
  expect(lower([y], cpu)).toEqual([y]);
  expect(5000 * 1200).toBeGreaterThan(attentionLimits.blockElements);
});

describe("projections", () => {
  const [length, width] = [40, 16];
  const heads = (x: Tensor) =>
    transpose(reshape(x, { shape: [2, length, 2, width / 2] }), { perm: [0, 2, 1, 3] });
  const leaves = () =>
    leavesOf([
      ramp([2, length, width], 0),
      ramp([2, length, width], 1),
      ...[2, 3, 4].map((phase) => ramp([width, width], phase)),
    ]) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const attend = (q: Tensor, k: Tensor, v: Tensor) =>
    matmul(softmax(mul(matmul(heads(q), swapLast(heads(k))), 0.5), { axis: -1 }), heads(v));
  const isProjected = (...roots: Tensor[]) =>
    [...ancestors(lower(roots, cpu))].some(({ op }) => op === fusedSelfAttention);

  it("of the same tokens are part of their attention, unless they are more than an affine map", () => {
    const [x, , a, b, c] = leaves();
    expect(isProjected(attend(matmul(x, a), matmul(x, b), matmul(x, c)))).toBe(true);
    expect(isProjected(attend(add(matmul(x, a), 0.5), matmul(x, b), matmul(x, c)))).toBe(false);
  });

  it("of other tokens, or that something else reads, are not", () => {
    const [x, y, a, b, c] = leaves();
    expect(isProjected(attend(matmul(x, a), matmul(y, b), matmul(y, c)))).toBe(false);
    const values = matmul(x, c);
    expect(isProjected(attend(matmul(x, a), matmul(x, b), values), relu(values))).toBe(false);
    expect(isProjected(attend(x, matmul(x, b), matmul(x, c)))).toBe(false);
  });

  it("of more tokens than the map is small for are not", () => {
    const { projectedFrom, mapRatio } = attentionLimits;
    expect(length ** 2).toBeGreaterThanOrEqual(projectedFrom);
    // With as many keys as queries and columns of 8 the map is as large as mapRatio operands from this length on.
    const longest = 4 * mapRatio * 8;
    for (const tokens of [longest, longest + 1]) {
      const model = prepared(new MultiHeadAttention({ embedDim: 16, heads: 2 }));
      const graph = trace(model, { query: { shape: [2, tokens, 16] } });
      expect(isProjected(...graph.outputs.values())).toBe(tokens === longest);
    }
  });
});

describe.each([
  ["small", tiny],
  ["small, but for maps that may be as large as they like", { ...tiny, mapRatio: Number.POSITIVE_INFINITY }],
])("with limits so %s that every form is taken", (_limits, smallest) => {
  const trials: [string, Trial][] = mechanismClasses().flatMap((type) =>
    type.about.examples.flatMap((_, index) =>
      trialsOf(type, index).map(
        (trial) => [`${type.about.id} ${index} ${trial.call}`, trial] as [string, Trial],
      ),
    ),
  );
  const changed: string[] = [];

  it.each(trials)("%s has equal values", async (name, trial) => {
    const graph = traceCall(trial, typesOf(trial, trial.sizes));
    if (hostCallsOf(graph.outputs.values()).length > 0) return;
    const feeds = valuesOf(trial, trial.sizes);
    const expected = await (await emitted(graph, { limits: never })).run(feeds);
    for (const target of [cpu, portable]) {
      const lowered = lower([...graph.outputs.values()], target, smallest);
      const plain = [...graph.outputs.values()];
      if (lowered.every((tensor, index) => tensor === plain[index])) continue;
      changed.push(name);
      const model = await emitted(graph, { limits: smallest, target });
      expectEqual(await model.run(feeds), expected);
    }
  });

  it("changes the mechanisms that attend from every position to every position", () => {
    const ids = new Set(changed.map((name) => name.split(" ")[0]));
    for (const id of [
      "non-local",
      "danet-position",
      "danet",
      "sdpa",
      "mha",
      "qkv-attention",
      "vit",
      "afnb",
      "apnb",
    ]) {
      expect(ids).toContain(id);
    }
  });
});
