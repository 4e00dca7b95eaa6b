import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { loadStateDict } from "../../src/nn/state-dict.js";
import {
  adaptiveAveragePool2d,
  add,
  conv,
  convTranspose,
  cumSum,
  gelu,
  gradients,
  hardSigmoid,
  layerNorm,
  linear,
  logSoftmax,
  max,
  maxPool,
  mean,
  mul,
  neg,
  perChannel,
  reshape,
  sigmoid,
  softmax,
  softplus,
  square,
  sub,
  variance,
} from "../../src/ops/index.js";
import { compile } from "../../src/runtime/executable.js";
import { relativeError } from "./evaluate.js";

/** Numbers of PyTorch in float64; scripts/pytorch/operators.py says how they were made. */
const file = readSafetensors(
  readFileSync(new URL("../fixtures/pytorch/operators.safetensors", import.meta.url)),
);

type PerAxis = number | readonly number[];

/** Options of all operators; a case has those of its own. */
interface Options {
  readonly stride: PerAxis;
  readonly padding: PerAxis;
  readonly dilation: PerAxis;
  readonly groups: number;
  readonly outputPadding: number;
  readonly kernelSize: number;
  readonly ceilMode: boolean;
  readonly outputSize: readonly number[];
  readonly axis: number;
  readonly axes: readonly number[];
  readonly keepDims: boolean;
  readonly correction: number;
  readonly training: boolean;
  readonly momentum: number;
  readonly eps: number;
}

interface Case {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly options: Options;
}

const { cases } = JSON.parse(file.metadata.operators!) as { cases: Readonly<Record<string, Case>> };

function stored(name: string): HostTensor | undefined {
  const tensor = file.tensors.get(name);
  return tensor && toHostTensor(tensor, name);
}

/** Our form of each operator that the file has and the networks here use. */
const forms: Readonly<Record<string, (inputs: readonly Tensor[], options: Options) => Tensor>> = {
  conv1d: convolution,
  conv2d: convolution,
  convTranspose2d: ([x, weight, bias], options) => {
    const { stride, padding, outputPadding, groups } = options as unknown as Readonly<
      Record<keyof Options, number>
    >;
    const outputSize = [2, 3].map(
      (axis) => (x!.size(axis) - 1) * stride - 2 * padding + weight!.size(axis) + outputPadding,
    );
    return add(convTranspose(x!, weight!, { stride, padding, groups, outputSize }), perChannel(bias!, 4));
  },
  maxPool2d: ([x], { kernelSize, stride, padding, ceilMode }) => {
    const [size, step, pad] = [kernelSize, stride, padding] as [number, number, number];
    // Windows that begin inside reach over the end.
    const missing = (axis: number) => (step - ((x!.size(axis) + 2 * pad - size) % step)) % step;
    const end = [2, 3].map((axis) => pad + (ceilMode ? missing(axis) : 0));
    return maxPool(x!, { kernel: [size, size], stride, padding: [pad, pad, ...end] });
  },
  adaptiveAvgPool1d: ([x], { outputSize }) => {
    const [n, c, length] = x!.shape as [number, number, number];
    const pooled = adaptiveAveragePool2d(reshape(x!, { shape: [n, c, 1, length] }), [1, outputSize[0]!]);
    return reshape(pooled, { shape: [n, c, -1] });
  },
  adaptiveAvgPool2d: ([x], { outputSize }) => adaptiveAveragePool2d(x!, [outputSize[0]!, outputSize[1]!]),
  softmax: ([x], { axis }) => softmax(x!, { axis }),
  logSoftmax: ([x], { axis }) => logSoftmax(x!, { axis }),
  hardSigmoid: ([x]) => hardSigmoid(x!),
  silu: ([x]) => mul(x!, sigmoid(x!)),
  softplus: ([x]) => softplus(x!),
  amax: ([x], { axes, keepDims }) => max(x!, { axes, keepDims }),
  amin: ([x], { axes, keepDims }) => neg(max(neg(x!), { axes, keepDims })),
  var: ([x], { axes, correction, keepDims }) => variance(x!, { axes, correction, keepDims }),
  mse: ([x, target]) => mean(square(sub(x!, target!)), { keepDims: false }),
  linear: ([x, weight, bias]) => linear(x!, weight!, bias),
  layerNorm: ([x, weight, bias], { eps: epsilon }) => layerNorm(x!, weight!, bias!, { epsilon }),
  cumSum: ([x], { axis }) => cumSum(x!, { axis }),
  gelu: ([x]) => gelu(x!),
};

function convolution([x, weight, bias]: readonly Tensor[], options: Options): Tensor {
  return conv(x!, weight!, bias, options);
}

/** Float32 deviates by up to 3e-7 in PyTorch itself. */
const tolerance = 2e-6;

const formed = Object.entries(cases).filter(([, { operator }]) => Object.hasOwn(forms, operator));

it("the file has cases of every operator that is compared", () => {
  const found = new Set(Object.values(cases).map(({ operator }) => operator));
  expect(Object.keys(forms).filter((operator) => !found.has(operator))).toEqual([]);
  expect(formed.length).toBe(24);
});

describe.each(formed)("%s", (name, { operator, inputs, options }) => {
  it("gives PyTorch's output and gradients", async () => {
    const values = Object.fromEntries(
      inputs.map((input, index) => [input, stored(`${name}.input.${index}`)!]),
    );
    const cotangent = stored(`${name}.cotangent`)!;
    const graph = trace(
      (all: Readonly<Record<string, Tensor>>) => {
        const leaves = inputs.map((input) => all[input]!);
        const y = forms[operator]!(leaves, options);
        const parts = gradients(y, leaves, { cotangent: all.cotangent! });
        return { y, ...Object.fromEntries(parts.map((part, index) => [`${index}`, part])) };
      },
      { ...values, cotangent },
    );
    const executable = await compile(graph);
    const { outputs } = await executable.run({ ...values, cotangent });
    await executable.close();
    expect(relativeError(outputs.y!, stored(`${name}.output`)!)).toBeLessThan(tolerance);
    const expected = inputs
      .map((_, index) => [index, stored(`${name}.gradInput.${index}`)] as const)
      .filter((entry): entry is readonly [number, HostTensor] => entry[1] !== undefined);
    expect(expected.length).toBeGreaterThan(0);
    for (const [index, gradient] of expected) {
      expect(relativeError(outputs[`${index}`]!, gradient)).toBeLessThan(tolerance);
    }
  });
});

describe.each(["batchNormTrain", "batchNormEval"])("%s", (name) => {
  it("gives PyTorch's output, gradients and running statistics by the layer", async () => {
    const { training, momentum, eps: epsilon } = cases[name]!.options;
    const layer = new BatchNorm({ channels: 4, momentum, epsilon });
    loadStateDict(
      layer,
      new Map([
        ["weight", stored(`${name}.input.1`)!],
        ["bias", stored(`${name}.input.2`)!],
        ["runningMean", stored(`${name}.buffer.runningMean`)!],
        ["runningVar", stored(`${name}.buffer.runningVar`)!],
      ]),
    );
    const values = { x: stored(`${name}.input.0`)!, cotangent: stored(`${name}.cotangent`)! };
    const graph = trace(
      ({ x, cotangent }: Readonly<Record<string, Tensor>>) => {
        const y = layer.forward(x!);
        const [dx, dw, db] = gradients(y, [x!, layer.weight, layer.bias], { cotangent: cotangent! });
        return { y, dx: dx!, dw: dw!, db: db! };
      },
      values,
      { training, model: layer },
    );
    const executable = await compile(graph);
    const { outputs, updates } = await executable.run(values);
    await executable.close();
    expect(relativeError(outputs.y!, stored(`${name}.output`)!)).toBeLessThan(tolerance);
    for (const [index, gradient] of [outputs.dx, outputs.dw, outputs.db].entries()) {
      expect(relativeError(gradient!, stored(`${name}.gradInput.${index}`)!)).toBeLessThan(tolerance);
    }
    expect(Object.keys(updates)).toEqual(training ? ["runningMean", "runningVar"] : []);
    for (const buffer of ["runningMean", "runningVar"]) {
      const after = stored(`${name}.bufferAfter.${buffer}`)!;
      if (training) expect(relativeError(updates[buffer]!, after)).toBeLessThan(tolerance);
      else expect(after.data).toEqual(stored(`${name}.buffer.${buffer}`)!.data);
    }
  });
});
