import type { HostTensor } from "../base/dtype.js";
import { hostArray } from "../base/dtype.js";
import { fillNormal } from "../base/random.js";
import type { Target } from "../graph/emitter.js";
import { input } from "../graph/leaf.js";
import { ModelBuilder } from "../onnx/builder.js";
import { toBlocks } from "../onnx/cpu/layout.js";
import { emitModel, sessionOpset } from "../onnx/emit.js";
import { conv, convFilterGradient, convTranspose } from "../ops/conv.js";
import { toHostTensor, toOrtTensor } from "./ort-tensor.js";
import type { OrtModule } from "./platform.js";

/** Sizes of a block that are looked for. */
const knownBlocks = [4, 8, 16];

/** Largest relative difference between a blocked and a plain convolution. */
const tolerance = 1e-5;

/**
 * Finds out whether ONNX Runtime takes its blocked layout of channels in a model, how many channels a block has on this machine, and
 * whether the convolutions of a training step come out right in it.
 * @returns undefined where anything is not as expected
 */
export async function findChannelBlock(ort: OrtModule): Promise<number | undefined> {
  try {
    const block = await blockOfReordering(ort);
    if (block === undefined) return undefined;
    const plain = await convolutions(ort, { kind: "cpu", opset: sessionOpset });
    const blocked = await convolutions(ort, { kind: "cpu", opset: sessionOpset, channelBlock: block });
    return plain.every((values, index) => agree(values, blocked[index]!)) ? block : undefined;
  } catch {
    // Builds without the layout refuse the operators.
    return undefined;
  }
}

/** Channels 0, 1, 2 ... of one image of two positions: in blocks they lie side by side. */
async function blockOfReordering(ort: OrtModule): Promise<number | undefined> {
  const channels = 2 * knownBlocks.at(-1)!;
  const shape = [1, channels, 1, 2];
  const builder = new ModelBuilder({ kind: "cpu", opset: sessionOpset });
  const x = builder.input("x", "float32", shape);
  builder.output("y", "float32", shape, toBlocks(builder, x));
  const data = Float32Array.from({ length: 2 * channels }, (_, index) => index >> 1);
  const { y } = await runOnce(ort, builder.build({ producerVersion: "0" }), {
    x: { dtype: "float32", shape, data },
  });
  const found = (y!.data as Float32Array).findIndex((channel, index) => channel !== index);
  return knownBlocks.find((block) => block === found);
}

/** A convolution and its two gradients. */
async function convolutions(ort: OrtModule, target: Target): Promise<Float32Array[]> {
  const values = {
    x: normal("x", [16, 32, 6, 5]),
    w: normal("w", [16, 32, 3, 3]),
    dy: normal("dy", [16, 16, 6, 5]),
  };
  const [x, w, dy] = [input("x", values.x.shape), input("w", values.w.shape), input("dy", values.dy.shape)];
  const window = { padding: 1 };
  const results = [
    conv(x, w, undefined, window),
    convTranspose(dy, w, { ...window, outputSize: [6, 5] }),
    convFilterGradient(x, dy, { ...window, kernel: [3, 3] }),
  ];
  const names = results.map((_, index) => `y${index}`);
  const model = emitModel({
    target,
    inputs: new Map([
      ["x", x],
      ["w", w],
      ["dy", dy],
    ]),
    variables: new Map(),
    variablesAs: "inputs",
    outputs: new Map(results.map((result, index) => [names[index]!, result])),
    producerVersion: "0",
  });
  const outputs = await runOnce(ort, model.bytes, values);
  return names.map((name) => outputs[name]!.data as Float32Array);
}

async function runOnce(
  ort: OrtModule,
  model: Uint8Array,
  feeds: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, HostTensor>> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    const tensors = Object.entries(feeds).map(([name, value]) => [name, toOrtTensor(ort.Tensor, value)]);
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, toHostTensor(value)]));
  } finally {
    await session.release();
  }
}

function normal(stream: string, shape: readonly number[]): HostTensor {
  const data = hostArray(
    "float32",
    shape.reduce((product, size) => product * size),
  ) as Float32Array;
  fillNormal(data, { seed: 0, stream, step: 0 });
  return { dtype: "float32", shape, data };
}

function agree(expected: Float32Array, found: Float32Array): boolean {
  let [error, size] = [0, 0];
  for (const [index, value] of expected.entries()) {
    error += (value - found[index]!) ** 2;
    size += value ** 2;
  }
  return found.length === expected.length && Math.sqrt(error / size) < tolerance;
}
