import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { emitModel } from "../../src/onnx/emit.js";
import {
  add,
  batchNormTraining,
  type ConvAttributes,
  channelAffine,
  conv,
  div,
  gradients,
  mean,
  mul,
  relu,
  sigmoid,
  slice,
  square,
  sub,
  sum,
  transpose,
} from "../../src/ops/index.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { cpu, evaluate, floats, leavesOf, relativeError } from "./evaluate.js";

const block = await nodeRuntime().channelBlock("cpu");
/** On a machine without the layout the comparisons are of equal forms; those of operators below do not run anything. */
const blocked: Target = block === undefined ? cpu : { ...cpu, channelBlock: block };
const blocked16: Target = { ...cpu, channelBlock: 16 };

function normal(stream: string, shape: readonly number[]): HostTensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  fillNormal(data, { seed: 3, stream, step: 0 });
  return floats(shape, data);
}

/** A convolution, both of its gradients, and a gradient of these. */
function everything(attributes: ConvAttributes) {
  return (x: Tensor, w: Tensor, b: Tensor): Record<string, Tensor> => {
    const y = conv(x, w, b, attributes);
    const [dx, dw, db] = gradients(sum(mul(square(y), 0.5), { keepDims: false }), [x, w, b]) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const [again] = gradients(sum(square(sub(dw, 1)), { keepDims: false }), [x]);
    return { y, dx, dw, db, again: again! };
  };
}

function operatorsOf(
  values: readonly HostTensor[],
  body: (...inputs: Tensor[]) => Record<string, Tensor>,
  target: Target,
) {
  const leaves = leavesOf(values);
  const { bytes } = emitModel({
    target,
    inputs: new Map(leaves.map((leaf, index) => [`input${index}`, leaf])),
    variables: new Map(),
    variablesAs: "initializers",
    outputs: new Map(Object.entries(body(...leaves))),
    producerVersion: "0",
  });
  return decodeModel(bytes).nodes.map(({ domain, opType }) =>
    domain === "" ? opType : `${domain}.${opType}`,
  );
}

type Case = readonly [what: string, x: readonly number[], w: readonly number[], attributes: ConvAttributes];

const cases: readonly Case[] = [
  ["whole blocks", [16, 16, 7, 6], [32, 16, 3, 3], { padding: 1 }],
  ["several blocks, two groups of samples", [32, 32, 5, 6], [16, 32, 3, 3], { padding: 1 }],
  [
    "stride, uneven padding, positions that no window reaches",
    [16, 16, 10, 9],
    [16, 16, 3, 2],
    { stride: 2, padding: [1, 0, 0, 1] },
  ],
  ["few input channels", [16, 3, 9, 9], [16, 3, 3, 3], { padding: 1 }],
  ["channels that are no whole blocks", [16, 20, 6, 6], [12, 20, 3, 3], { padding: 1 }],
  ["images cut into two bands", [8, 16, 8, 7], [16, 16, 3, 3], { padding: 1 }],
  ["images cut into four bands, with stride", [4, 12, 17, 9], [16, 12, 3, 3], { padding: 1, stride: 2 }],
  ["a batch that cannot be cut", [3, 16, 7, 7], [16, 16, 3, 3], { padding: 1 }],
  ["one channel to a filter", [4, 32, 7, 7], [32, 1, 3, 3], { padding: 1, groups: 32 }],
  ["one channel to a filter, no whole blocks", [2, 20, 7, 6], [20, 1, 3, 3], { padding: 1, groups: 20 }],
  [
    "one channel to a filter, with stride",
    [2, 16, 9, 9],
    [16, 1, 3, 3],
    { padding: 1, groups: 16, stride: 2 },
  ],
  ["stride, many channels", [2, 128, 6, 8], [128, 128, 3, 3], { padding: 1, stride: 2 }],
  [
    "stride, many channels that are no whole blocks, uneven kernel and padding",
    [2, 132, 9, 8],
    [136, 132, 4, 2],
    { padding: [1, 0, 1, 0], stride: [3, 2] },
  ],
  ["single elements with stride", [2, 16, 9, 8], [32, 16, 1, 1], { stride: 2 }],
  ["single elements with stride and padding", [2, 16, 9, 8], [32, 16, 1, 1], { stride: [2, 3], padding: 1 }],
  ["dilation", [16, 16, 9, 9], [16, 16, 3, 3], { padding: 2, dilation: 2 }],
  ["groups", [16, 32, 6, 6], [32, 16, 3, 3], { padding: 1, groups: 2 }],
  ["few positions", [5, 18, 2, 2], [20, 18, 3, 3], { padding: 1 }],
  [
    "few positions, stride, uneven padding",
    [4, 16, 5, 4],
    [17, 16, 3, 2],
    { padding: [1, 0, 2, 1], stride: 2 },
  ],
  ["few positions, positions that no window reaches", [3, 16, 6, 7], [16, 16, 2, 2], { stride: 3 }],
  ["few positions, dilation", [3, 16, 5, 5], [16, 16, 3, 3], { padding: 1, dilation: 2 }],
  ["few positions, single elements with stride", [3, 16, 5, 4], [32, 16, 1, 1], { stride: 2 }],
  ["few positions of three axes", [3, 16, 3, 2, 2], [16, 16, 2, 3, 1], { padding: [0, 1, 0, 1, 1, 0] }],
  ["few positions of one axis", [3, 16, 9], [16, 16, 3], { padding: 1 }],
  ["two planes", [3, 2, 9, 8], [1, 2, 7, 7], { padding: 3 }],
  [
    "one plane, uneven kernel, padding and stride",
    [2, 1, 12, 11],
    [2, 1, 5, 6],
    { padding: [2, 0, 3, 1], stride: [1, 2] },
  ],
  [
    "one plane, dilation, rows that no window reaches",
    [2, 1, 16, 15],
    [1, 1, 5, 5],
    { padding: [0, 4], dilation: 2, stride: [3, 1] },
  ],
  ["single elements, few filters", [3, 64, 5, 6], [2, 64, 1, 1], {}],
  ["single elements of one axis, one filter", [3, 65, 17], [1, 65, 1], {}],
  ["few positions, groups", [3, 32, 3, 3], [32, 16, 3, 3], { padding: 1, groups: 2 }],
  ["groups of several blocks", [8, 64, 6, 5], [96, 32, 3, 3], { padding: 1, groups: 2 }],
  ["groups of no whole blocks", [4, 72, 6, 5], [80, 36, 3, 3], { padding: [1, 0, 0, 1], groups: 2 }],
  [
    "groups of several blocks, with stride",
    [4, 64, 7, 8],
    [64, 32, 3, 3],
    { padding: 1, groups: 2, stride: 2 },
  ],
  ["single elements in groups", [2, 12, 5, 4], [6, 4, 1, 1], { groups: 3 }],
  ["single elements in groups, with stride", [2, 12, 7, 8], [6, 4, 1, 1], { groups: 3, stride: 2 }],
];

describe.each(cases)("a convolution in blocks: %s", (_what, xs, ws, attributes) => {
  it("and its gradients have the values of the plain form", async () => {
    const values = [normal("x", xs), normal("w", ws), normal("b", [ws[0]!])];
    const body = everything(attributes);
    const plain = await evaluate(values, body, { kind: "portable", opset: 20 });
    const found = await evaluate(values, body, blocked);
    for (const [name, value] of Object.entries(plain)) {
      expect(relativeError(found[name]!, value), name).toBeLessThan(1e-5);
    }
  });
});

describe("the form of a convolution", () => {
  const values = (xs: readonly number[], ws: readonly number[]) => [
    normal("x", xs),
    normal("w", ws),
    normal("b", [ws[0]!]),
  ];

  it("is blocked with both gradients where the target has a block, else plain", () => {
    const operands = values([16, 16, 8, 8], [16, 16, 3, 3]);
    const found = operatorsOf(operands, everything({ padding: 1 }), blocked16);
    expect(found.filter((name) => name.endsWith("Conv") && !name.includes("nchwc"))).toEqual([]);
    for (const target of [cpu, { kind: "portable", opset: 20 }, { kind: "webgpu", opset: 19 }] as const) {
      expect(operatorsOf(operands, everything({ padding: 1 }), target).join()).not.toContain("nchwc");
    }
  });

  it("is a product with both gradients where there are few positions", () => {
    const found = operatorsOf(values([4, 16, 3, 3], [16, 16, 3, 3]), everything({ padding: 1 }), blocked16);
    expect(found.filter((name) => name.includes("Conv"))).toEqual([]);
    expect(found).toContain("MatMul");
  });

  it("is a product of band matrices where there are few channels, on the CPU", () => {
    const operands = values([2, 2, 8, 8], [1, 2, 7, 7]);
    const found = operatorsOf(operands, everything({ padding: 3 }), cpu);
    expect(found.filter((name) => name.includes("Conv"))).toEqual([]);
    const portable = operatorsOf(operands, everything({ padding: 3 }), { kind: "portable", opset: 20 });
    expect(portable).toContain("Conv");
  });

  it("is blocked in groups of whole blocks", () => {
    const operands = values([16, 64, 8, 8], [64, 32, 3, 3]);
    const found = operatorsOf(operands, everything({ padding: 1, groups: 2 }), blocked16);
    expect(found.filter((name) => name.endsWith("Conv") && !name.includes("nchwc"))).toEqual([]);
  });

  it("is plain for single elements, few channels and three axes", () => {
    const plain = (xs: readonly number[], ws: readonly number[]) => {
      const body = (x: Tensor, w: Tensor, b: Tensor) => ({ y: conv(x, w, b) });
      expect(operatorsOf(values(xs, ws), body, blocked16)).toEqual(["Conv"]);
    };
    plain([2, 16, 8, 8], [16, 16, 1, 1]);
    plain([2, 8, 5, 5], [16, 8, 3, 3]);
    plain([2, 16, 6, 6, 6], [16, 16, 3, 3, 3]);
    plain([2, 1, 8, 8], [16, 1, 3, 3]);
    plain([2, 18, 8, 8], [18, 18, 3, 3]);
  });

  it("of a gradient with stride is several convolutions where there are many channels", () => {
    const found = (channels: number) =>
      operatorsOf(
        values([2, channels, 8, 8], [channels, channels, 3, 3]),
        (x, w, b) => ({
          dx: gradients(sum(conv(x, w, b, { padding: 1, stride: 2 }), { keepDims: false }), [x])[0]!,
        }),
        blocked16,
      );
    expect(found(16)).toContain("ConvTranspose");
    expect(found(128)).not.toContain("ConvTranspose");
    expect(found(128).filter((name) => name === "com.microsoft.nchwc.Conv").length).toBeGreaterThanOrEqual(4);
  });
});

describe("what follows a convolution in blocks", () => {
  const x = normal("x", [16, 16, 7, 6]);
  const w = normal("w", [32, 16, 3, 3]);
  /** A convolution with what `body` makes of it, and the gradients of a weighted sum of that. */
  const following =
    (body: (y: Tensor, values: Tensor) => Tensor) => (image: Tensor, filters: Tensor, values: Tensor) => {
      const result = body(conv(image, filters, undefined, { padding: 1 }), values);
      const loss = sum(square(add(result, 0.3)), { keepDims: false });
      const [dx, dw, dv] = gradients(loss, [image, filters, values]) as [Tensor, Tensor, Tensor];
      return { result, dx, dw, dv };
    };
  const perChannel = [1, 32, 1, 1];
  const perSample = [16, 32, 1, 1];

  it.each<[what: string, values: readonly number[], body: (y: Tensor, values: Tensor) => Tensor]>([
    ["a product with values per channel", perChannel, (y, values) => mul(values, y)],
    ["a product with values per sample and channel", perSample, (y, values) => mul(y, values)],
    ["a sum with values per channel", perChannel, (y, values) => add(y, values)],
    ["a sum with values per sample and channel", perSample, (y, values) => add(values, y)],
    ["a difference", perSample, (y, values) => sub(y, values)],
    ["a difference of values per channel", perChannel, (y, values) => sub(values, y)],
    ["a quotient by values per channel", perChannel, (y, values) => div(y, add(square(values), 1))],
    ["a product with values per row", [16, 1, 7, 1], (y, values) => mul(y, values)],
    ["means of positions", perSample, (y, values) => mul(values, mean(y, { axes: [2, 3] }))],
    [
      "means of positions without their axes",
      [16, 32],
      (y, values) => mul(values, mean(y, { axes: [2, 3], keepDims: false })),
    ],
    [
      "sums of samples and positions",
      [32],
      (y, values) => mul(values, sum(y, { axes: [0, 2, 3], keepDims: false })),
    ],
    ["means of channels", [16, 1, 7, 6], (y, values) => mul(y, add(values, mean(y, { axes: [1] })))],
    ["an affine map", [32], (y, values) => channelAffine(y, values, square(values))],
    [
      "normalization and an activation",
      [32],
      (y, values) => relu(batchNormTraining(y, add(values, 2), values, { epsilon: 1e-5 })),
    ],
    ["a gate", perSample, (y, values) => mul(relu(y), sigmoid(mul(values, mean(relu(y), { axes: [2, 3] }))))],
    ["a branch that is not in blocks", [16, 32, 7, 6], (y, values) => add(relu(y), values)],
    ["a scalar", [1], (y, values) => mul(sub(2, y), values)],
  ])("has the values of the plain form: %s", async (_what, shape, body) => {
    const values = [x, w, normal("v", shape)];
    const plain = await evaluate(values, following(body));
    const found = await evaluate(values, following(body), blocked);
    for (const [name, value] of Object.entries(plain)) {
      expect(relativeError(found[name]!, value), name).toBeLessThan(2e-5);
    }
  });

  it("is as exact as the plain form for means far from zero", async () => {
    const normalized = (image: Tensor, filters: Tensor, level: Tensor, scale: Tensor, shift: Tensor) => {
      const y = conv(image, filters, level, { padding: 1 });
      const whole = batchNormTraining(y, scale, shift, { epsilon: 1e-5 });
      return { y: slice(whole, { axes: [0], starts: [0], ends: [1], steps: [1] }) };
    };
    const values = (level: number) => [
      normal("x", [16, 16, 32, 32]),
      w,
      ...[level, 1, 0].map((value) => floats([32], Array(32).fill(value))),
    ];
    const { y: exact } = await evaluate(values(0), normalized);
    const error = async (target: Target) =>
      relativeError((await evaluate(values(1000), normalized, target)).y!, exact!);
    const plain = await error(cpu);
    const found = await error(blocked);
    expect(found).toBeLessThan(2 * plain);
  });

  it("stays in blocks up to the next convolution", () => {
    const chain = (image: Tensor, filters: Tensor, scale: Tensor) => {
      const y = relu(
        batchNormTraining(conv(image, filters, undefined, { padding: 1 }), scale, scale, { epsilon: 1e-5 }),
      );
      return {
        y: mean(conv(y, transpose(filters, { perm: [1, 0, 2, 3] }), undefined, { padding: 1 }), {
          axes: [2, 3],
        }),
      };
    };
    const found = operatorsOf([x, w, normal("v", [32])], chain, blocked16);
    expect(found.filter((name) => name.includes("ReorderOutput"))).toEqual([]);
    // The image, and the filters twice.
    expect(found.filter((name) => name.includes("ReorderInput"))).toHaveLength(3);
  });

  it("leaves long sums to the plain form", () => {
    const body = (image: Tensor, filters: Tensor) => ({
      y: mean(conv(image, filters, undefined, { padding: 1 }), { axes: [2, 3] }),
    });
    const found = operatorsOf([normal("x", [1, 16, 65, 3]), w], body, blocked16);
    expect(found).toContain("ReduceMean");
  });
});

describe("a scalar and a tensor that ends in axes of size 1", () => {
  it("meet as flat tensors on the CPU, with the values of the portable form", async () => {
    const [x, y] = [normal("x", [64, 80, 1, 1]), normal("y", [1])];
    for (const operands of [
      [x, y],
      [y, x],
    ]) {
      const body = (a: Tensor, b: Tensor) => ({ product: mul(a, b), difference: sub(a, b) });
      const flat = await evaluate(operands, body);
      const portable = await evaluate(operands, body, { kind: "portable", opset: 20 });
      expect(flat).toEqual(portable);
      expect(operatorsOf(operands, body, cpu)).toContain("Reshape");
    }
  });

  it("stay as they are where they are small", () => {
    const small = input("x", [4, 80, 1, 1]);
    const { bytes } = emitModel({
      target: cpu,
      inputs: new Map([["x", small]]),
      variables: new Map(),
      variablesAs: "initializers",
      outputs: new Map([["y", mul(small, 2)]]),
      producerVersion: "0",
    });
    expect(decodeModel(bytes).nodes.map(({ opType }) => opType)).toEqual(["Mul"]);
  });
});

describe("a row that is repeated along the axis before it", () => {
  const values = (width: number) => [normal("x", [4, 8, 12, width]), normal("y", [4, 8, 1, width])];
  const body = (a: Tensor, b: Tensor) => ({ product: mul(a, b), difference: sub(b, a) });

  it("is repeated first on the CPU, with the values of the portable form", async () => {
    const portable = await evaluate(values(14), body, { kind: "portable", opset: 20 });
    expect(await evaluate(values(14), body)).toEqual(portable);
    expect(operatorsOf(values(14), body, cpu)).toContain("Expand");
  });

  it("stays as it is where it is long", () => {
    expect(operatorsOf(values(40), body, cpu)).not.toContain("Expand");
  });
});

describe("a product with values per sample and channel before a sum with such values", () => {
  const image = [3, 4, 5, 6];
  const perSample = [3, 4, 1, 1];

  it.each([
    ["per sample", perSample],
    ["per channel", [4, 1, 1]],
    ["a scalar", [1]],
  ])("is one pass on the CPU, with the values of the portable form: a shift %s", async (_what, shape) => {
    const values = [normal("x", image), normal("s", perSample), normal("t", shape)];
    const body = (x: Tensor, s: Tensor, t: Tensor) => ({ y: add(t, mul(s, x)) });
    const { y } = await evaluate(values, body);
    const portable = await evaluate(values, body, { kind: "portable", opset: 20 });
    expect(relativeError(y!, portable.y!)).toBeLessThan(1e-6);
    const found = operatorsOf(values, body, cpu);
    expect(found).toContain("BatchNormalization");
    expect(found).not.toContain("Mul");
  });

  it("stays two where the sum is with an image", () => {
    const values = [normal("x", image), normal("s", perSample), normal("t", image)];
    const body = (x: Tensor, s: Tensor, t: Tensor) => ({ y: add(t, mul(s, x)) });
    expect(operatorsOf(values, body, cpu)).toEqual(["Mul", "Add"]);
  });
});
