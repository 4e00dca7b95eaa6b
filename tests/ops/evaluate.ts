import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { emitModel } from "../../src/onnx/emit.js";
import { nodeRuntime } from "../../src/runtime/node.js";

export const cpu: Target = { kind: "cpu", opset: 21 };

/** A float32 tensor on the host, from nested or flat values. */
export function floats(shape: readonly number[], values: Iterable<number>): HostTensor {
  return { dtype: "float32", shape, data: Float32Array.from(values) };
}

export function vector(...values: number[]): HostTensor {
  return floats([values.length], values);
}

/** Values as an array of numbers. */
export function numbers({ data }: HostTensor): number[] {
  return Array.from(data as Iterable<number | bigint>, Number);
}

/** Graph inputs for host tensors, named by their index. */
export function leavesOf(values: readonly HostTensor[]): Tensor[] {
  return values.map(({ shape, dtype }, index) => input(`input${index}`, shape, dtype));
}

/** A computation of named outputs that is loaded once and can be run with other values. */
export interface Computation {
  run(values: readonly HostTensor[]): Promise<Record<string, HostTensor>>;
  close(): Promise<void>;
}

/** Loads what `outputs` need; `leaves` are fed in order. */
export async function load(
  leaves: readonly Tensor[],
  outputs: Readonly<Record<string, Tensor>>,
  target: Target = cpu,
): Promise<Computation> {
  const model = emitModel({
    target,
    inputs: new Map(leaves.map((leaf, index) => [`input${index}`, leaf])),
    variables: new Map(),
    variablesAs: "inputs",
    outputs: new Map(Object.entries(outputs)),
    producerVersion: "0.0.0",
  });
  const session = await nodeRuntime().createSession(model.bytes);
  return {
    run: (values) =>
      session.run(
        Object.fromEntries(
          values
            .map((value, index) => [`input${index}`, value] as const)
            .filter(([name]) => model.usedInputs.includes(name)),
        ),
      ),
    close: () => session.close(),
  };
}

/** Runs a function of tensors once. */
export async function evaluate(
  values: readonly HostTensor[],
  body: (...inputs: Tensor[]) => Readonly<Record<string, Tensor>>,
  target: Target = cpu,
): Promise<Record<string, HostTensor>> {
  const leaves = leavesOf(values);
  const computation = await load(leaves, body(...leaves), target);
  const results = await computation.run(values);
  await computation.close();
  return results;
}

/** Largest difference of two tensors, relative to the largest value of the second. */
export function relativeError(actual: HostTensor, expected: HostTensor): number {
  if (actual.shape.join() !== expected.shape.join() || actual.dtype !== expected.dtype) return Number.NaN;
  if (elementCount(actual.shape) !== actual.data.length) return Number.NaN;
  const [a, b] = [numbers(actual), numbers(expected)];
  const largest = (values: readonly number[]) =>
    values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest(a.map((value, index) => value - b[index]!)) / (largest(b) || 1);
}
