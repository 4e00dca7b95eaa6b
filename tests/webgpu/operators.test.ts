import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { emitModel } from "../../src/onnx/emit.js";
import { cos, sin } from "../../src/ops/trigonometric.js";
import { type DeviceName, sessionTarget } from "../../src/runtime/devices.js";
import type { Placement, Session } from "../../src/runtime/types.js";
import { leavesOf, relativeError } from "../ops/evaluate.js";
import { type OperatorSample, operatorSamples } from "../ops/sample-values.js";
import { incrementModel } from "../runtime/models.js";
import { runtime } from "./runtime.js";

/** Operators that work on int64 alone, for which WebGPU has no kernels; they may run on the CPU. */
const onCpu = (sample: OperatorSample) => sample.inputs.every(({ dtype }) => dtype === "int64");

async function evaluateOn(
  device: DeviceName,
  { op, inputs, attributes }: OperatorSample,
): Promise<{ y: HostTensor; placement: Placement }> {
  const leaves = leavesOf(inputs);
  const model = emitModel({
    target: sessionTarget(device),
    inputs: new Map(leaves.map((leaf, index) => [`input${index}`, leaf])),
    variables: new Map(),
    variablesAs: "inputs",
    outputs: new Map([["y", op.apply(leaves, attributes)]]),
    producerVersion: "0.0.0",
  });
  const session = await runtime.createSession(model.bytes, { name: op.opName, device, placement: true });
  try {
    const named = inputs.map((value, index) => [`input${index}`, value] as const);
    const { y } = await session.run(
      Object.fromEntries(named.filter(([name]) => model.usedInputs.includes(name))),
    );
    return { y: y!, placement: await session.placement() };
  } finally {
    await session.close();
  }
}

describe("on WebGPU", () => {
  /** Keeps the device, and with it the shaders that are compiled. */
  let open: Session;
  beforeAll(async () => {
    open = await runtime.createSession(incrementModel(), { device: "webgpu" });
  });
  afterAll(() => open.close());

  it.each(operatorSamples)("$title equals the CPU", async (sample) => {
    const { y: expected } = await evaluateOn("cpu", sample);
    const { y, placement } = await evaluateOn("webgpu", sample);
    expect({ shape: y.shape, dtype: y.dtype }).toEqual({ shape: expected.shape, dtype: expected.dtype });
    expect(relativeError(y, expected)).toBeLessThan(2e-6);
    if (!onCpu(sample)) expect(placement.fallbacks).toEqual({});
  });

  it.each([
    [sin, Math.sin],
    [cos, Math.cos],
  ] as const)("%s of large angles", async (op, exact) => {
    const angles = Float32Array.from({ length: 401 }, (_, i) => (i - 200) * 1.37);
    const inputs: HostTensor[] = [{ dtype: "float32", shape: [401], data: angles }];
    const { y } = await evaluateOn("webgpu", { title: op.opName, op, attributes: {}, inputs });
    const errors = Array.from(y.data as Float32Array, (value, i) => Math.abs(value - exact(angles[i]!)));
    expect(Math.max(...errors)).toBeLessThan(5e-7);
  });
});
