import { expect, test } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { initialize, type Model, namedVariables, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Module } from "../../src/nn/module.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { type ExportOptions, exportOnnx } from "../../src/onnx/export.js";
import { relu } from "../../src/ops/activation.js";
import { add } from "../../src/ops/arithmetic.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { numbers } from "../ops/evaluate.js";
import { largestDifference } from "../support/difference.js";

/** A convolution and its normalization, as often as `forward` says. */
abstract class Normalized extends Module {
  readonly conv: Conv2d;
  readonly norm = new BatchNorm({ channels: 6, epsilon: 1e-3 });

  constructor(options: { bias: boolean; groups: number }) {
    super();
    this.conv = new Conv2d({ inChannels: 4, outChannels: 6, kernel: 3, padding: 1, ...options });
  }

  abstract forward(x: Tensor): Tensor;
}

class Plain extends Normalized {
  forward(x: Tensor): Tensor {
    return relu(this.norm.forward(this.tap("raw", this.conv.forward(x))));
  }
}

/** The convolution's result is read beside its normalization. */
class ReadTwice extends Normalized {
  forward(x: Tensor): Tensor {
    const raw = this.conv.forward(x);
    return add(this.norm.forward(raw), raw);
  }
}

/** One weight, before one normalization and before another. */
class SharedWeight extends Normalized {
  readonly other = new BatchNorm({ channels: 6 });
  forward(x: Tensor): Tensor {
    return add(this.norm.forward(this.conv.forward(x)), this.other.forward(this.conv.forward(relu(x))));
  }
}

/** A model whose values are all drawn, the variances above 0. */
function drawn<M extends Model>(model: M): M {
  initialize(model);
  for (const [path, variable] of namedVariables(model)) {
    const values = variable.value as Float32Array;
    fillNormal(values, { seed: 3, stream: path, step: 0 });
    if (path.endsWith("runningVar")) variable.value = values.map((value) => value * value + 0.1);
  }
  return model;
}

async function exported(model: Model, options: ExportOptions) {
  const emitted = exportOnnx(trace(model, { shape: [batch, 4, 5, 5] }), options);
  const { nodes, initializers } = decodeModel(emitted.bytes);
  const session = await defaultRuntime().createSession(emitted.bytes);
  const data = new Float32Array(2 * 4 * 5 * 5);
  fillNormal(data, { seed: 1, stream: "x", step: 0 });
  const x: HostTensor = { dtype: "float32", shape: [2, 4, 5, 5], data };
  const results = await session.run({ x });
  await session.close();
  const normalizations = nodes.filter(({ opType }) => opType === "BatchNormalization").length;
  return { results, normalizations, initializers };
}

async function compare(model: Model, options: ExportOptions = {}) {
  const merged = await exported(model, options);
  const plain = await exported(model, { ...options, foldBatchNorm: false });
  expect([...Object.keys(merged.results)]).toEqual([...Object.keys(plain.results)]);
  for (const [name, values] of Object.entries(plain.results)) {
    expect(largestDifference(numbers(merged.results[name]!), numbers(values)), name).toBeLessThan(2e-5);
  }
  return { before: plain.normalizations, after: merged.normalizations, merged };
}

test.each([
  { bias: false, groups: 1 },
  { bias: true, groups: 1 },
  { bias: true, groups: 2 },
])("a normalization merges into the convolution before it: %o", async (options) => {
  const { before, after, merged } = await compare(drawn(new Plain(options)));
  expect([before, after]).toEqual([1, 0]);
  expect([...merged.initializers.keys()]).toEqual(["conv.weight", "conv.bias"]);
});

test("not where the convolution's result is an output", async () => {
  const { after } = await compare(drawn(new Plain({ bias: false, groups: 1 })), { taps: ["raw"] });
  expect(after).toBe(1);
});

test("not where the convolution's result is read elsewhere", async () => {
  const { after } = await compare(drawn(new ReadTwice({ bias: false, groups: 1 })));
  expect(after).toBe(1);
});

test("a weight that two normalizations share becomes two", async () => {
  const { after, merged } = await compare(drawn(new SharedWeight({ bias: false, groups: 1 })));
  expect(after).toBe(0);
  expect([...merged.initializers.keys()].sort()).toEqual([
    "conv.bias",
    "conv.bias#2",
    "conv.weight",
    "conv.weight#2",
  ]);
});

test("the model keeps its own values", async () => {
  const model = drawn(new Plain({ bias: false, groups: 1 }));
  const before = Float32Array.from(model.conv.weight.value as Float32Array);
  await compare(model);
  expect(model.conv.weight.value).toEqual(before);
});
