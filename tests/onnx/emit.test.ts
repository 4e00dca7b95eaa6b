import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { constant } from "../../src/graph/constant.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import { trace } from "../../src/graph/model.js";
import { defineOp } from "../../src/graph/operator.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { withScope } from "../../src/graph/trace.js";
import type { Variable } from "../../src/graph/variable.js";
import { constantValue, parameter } from "../../src/nn/variables.js";
import { type EmittedModel, emitModel } from "../../src/onnx/emit.js";
import { ModelProtoSchema } from "../../src/onnx/generated/onnx_pb.js";
import {
  add,
  exp,
  gradients,
  logSoftmax,
  mul,
  pad,
  relu,
  reshape,
  softmax,
  sum,
  tanh,
} from "../../src/ops/index.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { evaluate, load, numbers, vector } from "../ops/evaluate.js";

const portable: Target = { kind: "portable", opset: 20 };

function emit(
  leaves: readonly Tensor[],
  outputs: Readonly<Record<string, Tensor>>,
  options: {
    variables?: readonly Variable[];
    variablesAs?: "inputs" | "initializers";
    target?: Target;
  } = {},
): EmittedModel {
  return emitModel({
    target: options.target ?? portable,
    inputs: new Map(leaves.map((leaf, index) => [`x${index}`, leaf])),
    variables: new Map((options.variables ?? []).map((variable, index) => [`w${index}`, variable])),
    variablesAs: options.variablesAs ?? "inputs",
    outputs: new Map(Object.entries(outputs)),
    producerVersion: "1.2.3",
    metadata: { task: "test" },
  });
}

function graphOf(model: EmittedModel) {
  return fromBinary(ModelProtoSchema, model.bytes).graph!;
}

/** ONNX operators of a model, in order. */
const opTypes = (model: EmittedModel) => graphOf(model).node.map((node) => node.opType);

describe("sizes", () => {
  const cpu: Target = { kind: "cpu", opset: 20 };
  const x = input("x", [2, 6]);
  const weight = parameter([3], constantValue(2));
  weight.initialize({ seed: 0, path: "weight" });
  const y = mul(reshape(x, { shape: [4, 3] }), weight);

  it("are withheld on the CPU where weights are inputs", async () => {
    const model = emit([x], { y }, { variables: [weight], target: cpu });
    const { node, input: inputs, initializer } = graphOf(model);
    const sizes = node.filter(({ opType }) => opType === "Reshape").map((each) => each.input[1]!);
    expect(sizes).toHaveLength(2);
    // An initializer that is an input as well: what a run may change.
    for (const name of sizes) {
      expect(inputs.map((each) => each.name)).toContain(name);
      expect(initializer.map((each) => each.name)).toContain(name);
    }
    expect(model.usedInputs).toEqual(["x0", "w0"]);
    const session = await defaultRuntime().createSession(model.bytes);
    expect(session.inputs.map(({ name }) => name)).toEqual(["x0", "w0"]);
    const data = Float32Array.from({ length: 12 }, (_, index) => index);
    const results = await session.run({
      x0: { dtype: "float32", shape: [2, 6], data },
      w0: vector(1, 2, 3),
    });
    expect(results.y!.shape).toEqual([4, 3]);
    expect([...results.y!.data]).toEqual([0, 2, 6, 3, 8, 15, 6, 14, 24, 9, 20, 33]);
    await session.close();
  });

  it("are told where weights are constant, and elsewhere", () => {
    for (const options of [{ variablesAs: "initializers", target: cpu }, { target: portable }] as const) {
      const { input: inputs } = graphOf(emit([x], { y }, { variables: [weight], ...options }));
      expect(inputs.map(({ name }) => name)).toEqual("variablesAs" in options ? ["x0"] : ["x0", "w0"]);
    }
  });
});

describe("an emitted model", () => {
  it("leaves out what no output needs", () => {
    const [x, unused] = [input("x", [2]), input("unused", [2])];
    const y = relu(x);
    mul(exp(y), unused);
    const weight = parameter([2], constantValue(1));
    const model = emit([x, unused], { y }, { variables: [weight] });
    expect(opTypes(model)).toEqual(["Relu"]);
    expect(model.nodeCount).toBe(1);
    expect(model.usedInputs).toEqual(["x0"]);
    expect(graphOf(model).input.map(({ name }) => name)).toEqual(["x0"]);
  });

  it("merges equal calls, also of equal constants and inside composites, and keeps different ones", async () => {
    const x = input("x", [2, 3]);
    const twice = add(exp(mul(x, 2)), exp(mul(x, constant(2))));
    expect(opTypes(emit([x], { y: twice }))).toEqual(["Mul", "Exp", "Add"]);
    const composite = add(logSoftmax(x, { axis: 1 }), logSoftmax(x, { axis: -1 }));
    const single = emit([x], { y: logSoftmax(x, { axis: 1 }) });
    expect(emit([x], { y: composite }).nodeCount).toBe(single.nodeCount + 1);
    const different = add(sum(x, { axes: [0] }), sum(x, { axes: [0], keepDims: false }));
    expect(opTypes(emit([x], { y: different }))).toEqual(["ReduceSum", "ReduceSum", "Add"]);
    expect(opTypes(emit([x], { y: add(softmax(x, { axis: 1 }), softmax(x, { axis: 0 })) }))).toContain("Div");
    const fills = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    const results = await evaluate([vector(1)], (leaf) =>
      Object.fromEntries(fills.map((value) => [`${value}`, pad(leaf, { pads: [0, 1], value })])),
    );
    for (const value of fills) expect(numbers(results[`${value}`]!)).toEqual([1, value]);
  });

  it("does not merge tensors of one call in different places of the graph", () => {
    const [a, b] = [input("a", [2]), input("b", [2])];
    expect(opTypes(emit([a, b], { y: add(exp(a), exp(b)) }))).toEqual(["Exp", "Exp", "Add"]);
  });

  it("expands a composite once, however often it is used", () => {
    let expansions = 0;
    const counted = defineOp<[x: Tensor]>("countedForTest", {
      type: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
      expand: ([x]) => {
        expansions++;
        return tanh(tanh(x));
      },
      macs: 0,
      samples: [],
    });
    const x = input("x", [2]);
    const y = withScope("net.part", () => counted(x));
    const model = emit([x], { a: mul(y, y), b: add(y, counted(y)), y });
    expect(expansions).toBe(2);
    expect(opTypes(model).filter((type) => type === "Tanh").length).toBe(4);
    // Its parts carry the path of the module that called it.
    expect(graphOf(model).node.filter(({ name }) => name.startsWith("net.part/")).length).toBe(2);
  });

  it("holds graphs and gradients that are thousands of nodes deep", async () => {
    const depth = 5000;
    const x = input("x", [2]);
    let y = x;
    for (let index = 0; index < depth; index++) y = index % 2 === 0 ? mul(y, 2) : mul(y, 0.5);
    const [dx] = gradients(sum(y, { keepDims: false }), [x]);
    const model = emit([x], { y, dx: dx! });
    expect(opTypes(model).filter((type) => type === "Mul").length).toBeGreaterThanOrEqual(2 * depth - 2);
    const shallow = await load([x], { y: exp(x) });
    await shallow.close();
  });

  it("takes inputs, constants and one tensor twice as outputs", async () => {
    const results = await evaluate([vector(1, 2)], (x) => {
      const y = exp(mul(x, 0));
      return { same: x, three: constant([3]), y, again: y, view: reshape(y, { shape: [2] }) };
    });
    expect(
      Object.fromEntries(Object.entries(results).map(([name, value]) => [name, numbers(value)])),
    ).toEqual({
      same: [1, 2],
      three: [3],
      y: [1, 1],
      again: [1, 1],
      view: [1, 1],
    });
  });

  it("holds variables as inputs, or with their values", async () => {
    const weight = parameter([2], constantValue(1));
    weight.value = Float32Array.of(5, 6);
    const x = input("x", [2]);
    const asInputs = emit([x], { y: mul(x, weight) }, { variables: [weight] });
    expect(asInputs.usedInputs).toEqual(["x0", "w0"]);
    expect(graphOf(asInputs).initializer.length).toBe(0);
    const inside = emit([x], { y: mul(x, weight) }, { variables: [weight], variablesAs: "initializers" });
    expect(inside.usedInputs).toEqual(["x0"]);
    const [initializer] = graphOf(inside).initializer;
    expect(initializer!.name).toBe("w0");
    expect(new Float32Array(initializer!.rawData.slice().buffer)).toEqual(Float32Array.of(5, 6));
    const empty = parameter([2], constantValue(1));
    const request = () =>
      emit([x], { y: mul(x, empty) }, { variables: [empty], variablesAs: "initializers" });
    expect(request).toThrow("variable has no value yet: call initialize(model) or load a state dict");
  });

  it("names the symbolic batch, the producer and the metadata", () => {
    const graph = trace((x: Tensor) => reshape(relu(x), { shape: [-1, 3] }), { shape: [batch, 6] });
    const model = emit([graph.inputs.get("x")!], { y: graph.outputs.get("y")! });
    const names = (info: ReturnType<typeof graphOf>["input"][number]) => {
      const { value } = info.type!;
      if (value.case !== "tensorType") throw new Error("not a tensor");
      return value.value.shape!.dim.map((dim) => dim.value.value);
    };
    expect(names(graphOf(model).input[0]!)).toEqual(["batch", 6n]);
    expect(names(graphOf(model).output[0]!)).toEqual(["2*batch", 3n]);
    const { producerVersion, metadataProps } = fromBinary(ModelProtoSchema, model.bytes);
    expect([producerVersion, metadataProps[0]!.key, metadataProps[0]!.value]).toEqual([
      "1.2.3",
      "task",
      "test",
    ]);
  });

  it("refuses leaves that nobody named", () => {
    const [x, other] = [input("x", [2]), input("other", [2, 3])];
    expect(() => emit([x], { y: mul(x, sum(other)) })).toThrow(
      "the graph reads input[2, 3], which is not among its named inputs and variables",
    );
    const weight = parameter([2], constantValue(1));
    expect(() => emit([x], { y: mul(x, weight) })).toThrow("the graph reads variable[2], which is not among");
  });
});
