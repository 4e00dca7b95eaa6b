import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import { initialize, type Model, namedVariables, trace } from "../../src/graph/model.js";
import { batch, type Shape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Variable } from "../../src/graph/variable.js";
import { create } from "../../src/models/registry.js";
import { Bottleneck } from "../../src/models/residual-block.js";
import { ResNet } from "../../src/models/resnet.js";
import { filtersInBlocks } from "../../src/onnx/cpu/filters-in-blocks.js";
import { fuseBlockedConvs } from "../../src/onnx/cpu/fuse-blocked-convs.js";
import { hasGates, hasWholeBlocks } from "../../src/onnx/cpu/suits-blocks.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { emitModel } from "../../src/onnx/emit.js";
import type { NodeRecord } from "../../src/onnx/graph-records.js";
import { averagePool, conv, hardSwish, maxPool, mean, mul, relu, sigmoid } from "../../src/ops/index.js";
import { compile } from "../../src/runtime/executable.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import type { Runtime } from "../../src/runtime/types.js";
import { floats, relativeError } from "../ops/evaluate.js";

const nchwc = "com.microsoft.nchwc";

function normal(stream: string, shape: readonly number[]): HostTensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  fillNormal(data, { seed: 5, stream, step: 0 });
  return floats(shape, data);
}

/** Values that no normalization leaves as they are. */
function settle(model: Model): void {
  initialize(model, { seed: 1 });
  for (const [path, variable] of namedVariables(model)) {
    if (variable.shape.length !== 1) continue;
    const { data } = normal(path, variable.shape);
    variable.value = Float32Array.from(data as Float32Array, (value) => 0.5 + 0.4 * Math.abs(value));
  }
}

/** The process's runtime, which says that the CPU has no blocks. */
function withoutBlocks(): Runtime {
  const real = defaultRuntime();
  return {
    resolveDevice: (request) => real.resolveDevice(request),
    channelBlock: async () => undefined,
    info: (options) => real.info(options),
    createState: (values) => real.createState(values),
    createSession: (...session) => real.createSession(...session),
  };
}

/** Filters of their own for convolutions of a function. */
function filters(...shape: number[]): Variable {
  const variable = new Variable({ shape, trainable: true, initializer: () => {} });
  variable.value = normal(shape.join(), shape).data;
  return variable;
}

/** Gates, and whole blocks where their size is known. */
function suitsBlocks(roots: Iterable<Tensor>, block?: number): boolean {
  const all = [...roots];
  return hasGates(all) && (block === undefined || hasWholeBlocks(all, block));
}

const gated = (x: Tensor, squeeze: Variable) =>
  mul(x, sigmoid(conv(mean(x, { axes: [2, 3] }), squeeze, undefined)));

describe("a network with gates and constant weights", () => {
  const networks: readonly (readonly [what: string, build: () => Model, shape: readonly number[]])[] = [
    ["seresnet20", () => create("seresnet20"), [3, 3, 32, 32]],
    ["cbamresnet18", () => create("cbamresnet18"), [1, 3, 64, 64]],
    ["ecaresnet18", () => create("ecaresnet18"), [2, 3, 64, 64]],
    [
      "with bottlenecks, a large stem and pools in its shortcuts",
      () =>
        new ResNet({
          block: Bottleneck,
          stem: "imagenet",
          shortcut: "averagedProjection",
          layers: [1, 1],
          channels: [16, 32],
          inChannels: 3,
          numClasses: 8,
          attention: (channels) => new SqueezeExcitation({ channels }),
        }),
      [2, 3, 40, 36],
    ],
  ];
  it.each(networks)("computes in blocks what it computes without: %s", async (_what, build, shape) => {
    const model = build();
    settle(model);
    const graph = trace(model, { shape: [...shape] });
    const x = normal("image", shape);
    const results = [];
    for (const runtime of [defaultRuntime(), withoutBlocks()]) {
      const executable = await compile(graph, { runtime, taps: ["*"] });
      results.push(await executable.run({ x }));
      await executable.close();
    }
    const [found, plain] = results;
    const block = await defaultRuntime().channelBlock("cpu");
    expect(suitsBlocks(graph.outputs.values(), block)).toBe(true);
    for (const group of ["outputs", "taps"] as const) {
      expect(Object.keys(found![group])).toEqual(Object.keys(plain![group]));
      for (const [name, value] of Object.entries(plain![group])) {
        expect(relativeError(found![group][name]!, value), name).toBeLessThan(2e-5);
      }
    }
  });

  const [w0, w1, w2, squeeze] = [
    filters(16, 3, 3, 3),
    filters(32, 16, 3, 3),
    filters(32, 32, 1, 1),
    filters(32, 32, 1, 1),
  ];
  const operatorsOf = (body: (x: Tensor) => Tensor, target: Target) => {
    const x = input("x", [2, 3, 16, 16]);
    const { bytes } = emitModel({
      target,
      inputs: new Map([["x", x]]),
      variables: new Map(Object.entries({ w0, w1, w2, squeeze })),
      variablesAs: "initializers",
      outputs: new Map([["y", body(x)]]),
      producerVersion: "0",
    });
    const { nodes, initializers } = decodeModel(bytes);
    const attribute = ({ attributes }: (typeof nodes)[number]) => attributes.activation;
    return { nodes, names: nodes.map(({ opType }) => opType), initializers, attribute };
  };
  const chain = (x: Tensor) => {
    const y = relu(conv(x, w0, undefined, { padding: 1 }));
    const z = maxPool(relu(conv(y, w1, undefined, { padding: 1 })), { kernel: [2, 2], stride: 2 });
    const block = averagePool(conv(z, w2), { kernel: [2, 2], stride: 1, padding: 0 });
    return mean(relu(gated(block, squeeze)), { axes: [2, 3] });
  };

  it("lies in blocks from the first convolution to the last, gates and activations within", () => {
    const { nodes, names } = operatorsOf(chain, { kind: "cpu", opset: 21, channelBlock: 16 });
    expect(names).not.toContain("Relu");
    expect(names).not.toContain("ReorderInput");
    expect(names).not.toContain("ReorderOutput");
    expect(names).not.toContain("Mul");
    const blocked = nodes.filter(({ domain }) => domain === nchwc).map(({ opType }) => opType);
    expect(blocked).toEqual([
      "Conv",
      "Conv",
      "MaxPool",
      "Conv",
      "AveragePool",
      "GlobalAveragePool",
      "Conv",
      "GlobalAveragePool",
    ]);
  });

  it("holds its filters once, in blocks", () => {
    const { initializers } = operatorsOf(chain, { kind: "cpu", opset: 21, channelBlock: 16 });
    const names = [...initializers.keys()];
    for (const name of ["w0", "w1", "w2"]) expect(names).not.toContain(name);
    expect(names).toContain("squeeze");
    const plain = operatorsOf(chain, { kind: "cpu", opset: 21 });
    expect(plain.nodes.every(({ domain }) => domain !== nchwc)).toBe(true);
    expect([...plain.initializers.keys()]).toEqual(expect.arrayContaining(["w0", "w1", "w2", "squeeze"]));
  });
});

describe("blocks suit a model", () => {
  const suits = (shape: Shape, body: (x: Tensor) => Tensor, block?: number) =>
    suitsBlocks([body(input("x", shape))], block);
  const w = filters(32, 3, 3, 3);
  const squeeze = filters(32, 32, 1, 1);
  const gate = (x: Tensor) => gated(hardSwish(conv(x, w, undefined, { padding: 1 })), squeeze);

  it("with gates on what convolutions made", () => {
    expect(suits([2, 3, 8, 8], gate)).toBe(true);
    expect(suits([2, 3, 8, 8], gate, 16)).toBe(true);
    expect(suits([2, 32, 8, 8], (x) => gated(x, squeeze))).toBe(false);
    expect(suits([2, 3, 8, 8], (x) => relu(conv(x, w)))).toBe(false);
    expect(suits([2, 3, 8, 8], (x) => mul(conv(x, w), mean(conv(x, w), { axes: [1] })))).toBe(false);
  });

  it("not where channels are no whole blocks, or the number of images is not known", () => {
    const uneven = filters(24, 32, 1, 1);
    expect(suits([2, 3, 8, 8], (x) => conv(gate(x), uneven))).toBe(true);
    expect(suits([2, 3, 8, 8], (x) => conv(gate(x), uneven), 16)).toBe(false);
    expect(suits([2, 3, 8, 8], (x) => conv(gate(x), uneven), 8)).toBe(true);
    expect(suits([2, 3, 8, 8], (x) => conv(gate(x), filters(10, 32, 1, 1)), 16)).toBe(true);
    expect(suits([batch, 3, 8, 8], gate)).toBe(false);
  });
});

describe("constant filters in blocks", () => {
  it("have each element in its place, and zeros elsewhere", () => {
    const size = (max: number) => fc.integer({ min: 1, max });
    const sizes = fc.tuple(size(20), size(20), size(3), size(3));
    fc.assert(
      fc.property(sizes, fc.constantFrom(4, 8), fc.constantFrom(1, 4, 8), (shape, b, c) => {
        const [filterCount, channels, height, width] = shape;
        const count = filterCount * channels * height * width;
        const numbered = floats(
          shape,
          Array.from({ length: count }, (_, index) => index + 1),
        );
        const found = filtersInBlocks(numbered, b, c);
        const channelBlocks = Math.ceil(channels / c);
        expect(found.shape).toEqual([Math.ceil(filterCount / b) * b, channelBlocks * c, height, width]);
        const expected = Array<number>(found.data.length).fill(0);
        for (let index = 0; index < count; index++) {
          const tap = index % (height * width);
          const channel = Math.floor(index / (height * width)) % channels;
          const k = Math.floor(index / (height * width * channels));
          const axes = [
            [Math.floor(k / b), 0],
            [Math.floor(channel / c), channelBlocks],
            [tap, height * width],
            [channel % c, c],
            [k % b, b],
          ] as const;
          expected[axes.reduce((place, [at, length]) => place * length + at, 0)] = index + 1;
        }
        expect(Array.from(found.data as Float32Array)).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });
});

describe("sums and activations after convolutions in blocks", () => {
  const node = (opType: string, inputs: string[], output: string, domain = ""): NodeRecord => ({
    name: `node ${output}`,
    opType,
    domain,
    inputs,
    outputs: [output],
    attributes: {},
  });
  const convolution = (inputs: string[], output: string) => node("Conv", inputs, output, nchwc);
  const fuse = (nodes: readonly NodeRecord[], roots: readonly string[], plain: readonly string[] = []) =>
    fuseBlockedConvs(nodes, roots, (value) => !plain.includes(value));
  const brief = (nodes: readonly NodeRecord[]) =>
    nodes.map(({ opType, inputs, outputs, attributes }) =>
      [
        opType,
        ...inputs,
        "->",
        ...outputs,
        ...Object.values(attributes).map((value) => JSON.stringify(value)),
      ].join(" "),
    );

  it("are taken in, where they come", () => {
    const nodes = [
      convolution(["x", "w"], "a"),
      node("Early", ["x"], "s"),
      node("Add", ["a", "s"], "b"),
      node("Relu", ["b"], "c"),
      node("Sigmoid", ["c"], "d"),
    ];
    expect(brief(fuse(nodes, ["d"]))).toEqual([
      "Early x -> s",
      'Conv x w  s -> c {"string":"Relu"}',
      "Sigmoid c -> d",
    ]);
  });

  it("keep a bias, and take the later of two convolutions", () => {
    const nodes = [
      convolution(["x", "v"], "first"),
      convolution(["x", "w", "bias"], "second"),
      node("Add", ["first", "second"], "y"),
    ];
    expect(brief(fuse(nodes, ["y"]))).toEqual(["Conv x v -> first", "Conv x w bias first -> y"]);
  });

  it("are taken in behind another shape, which the other operand gets", () => {
    const nodes = [
      node("Reshape", ["x", "flat"], "image"),
      convolution(["image", "gate"], "a"),
      node("Reshape", ["a", "whole"], "b"),
      node("Add", ["s", "b"], "c"),
      node("Relu", ["c"], "d"),
    ];
    expect(brief(fuse(nodes, ["d"]))).toEqual([
      "Reshape x flat -> image",
      "Reshape s flat -> a:sum",
      'Conv image gate  a:sum -> a {"string":"Relu"}',
      "Reshape a whole -> d",
    ]);
  });

  it.each<[what: string, nodes: NodeRecord[], roots: string[], plain?: string[]]>([
    [
      "a result that another node reads",
      [convolution(["x", "w"], "a"), node("Relu", ["a"], "b"), node("Neg", ["a"], "c")],
      ["b", "c"],
    ],
    ["a result of the model", [convolution(["x", "w"], "a"), node("Relu", ["a"], "b")], ["a", "b"]],
    ["a convolution that is not in blocks", [node("Conv", ["x", "w"], "a"), node("Relu", ["a"], "b")], ["b"]],
    [
      "an operand that is not in blocks",
      [convolution(["x", "w"], "a"), node("Add", ["a", "s"], "b")],
      ["b"],
      ["s"],
    ],
    ["another activation", [convolution(["x", "w"], "a"), node("Erf", ["a"], "b")], ["b"]],
    ["a second sum", [convolution(["x", "w", "", "s"], "a"), node("Add", ["a", "t"], "b")], ["b"]],
    ["a sum with itself", [convolution(["x", "w"], "a"), node("Add", ["a", "a"], "b")], ["b"]],
    [
      "a view that its input has not",
      [convolution(["x", "w"], "a"), node("Reshape", ["a", "whole"], "b"), node("Add", ["b", "s"], "c")],
      ["c"],
    ],
  ])("are left as they are: %s", (_what, nodes, roots, plain = []) => {
    expect(fuse(nodes, roots, plain)).toEqual(nodes);
  });
});
