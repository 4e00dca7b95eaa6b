import { expect } from "vitest";
import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal, randomInteger } from "../../src/base/random.js";
import { type FileTensor, toHostTensor } from "../../src/formats/file-tensor.js";
import { trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { ImageModel } from "../../src/models/image-model.js";
import { exportOnnx } from "../../src/onnx/export.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { release, run } from "../../src/runtime/run.js";
import { batchTypes } from "../../src/train/data.js";
import { crossEntropy, type Loss } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { sgd } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";
import { largestDifference } from "../support/difference.js";

/** Random images, or whatever has this shape. */
export function images(shape: readonly number[], seed = 1): HostTensor {
  const data = new Float32Array(elementCount(shape));
  fillNormal(data, { seed, stream: "images", step: 0 });
  return { dtype: "float32", shape, data };
}

/** Random classes. */
export function classes(shape: readonly number[], count: number): HostTensor {
  const data = BigInt64Array.from({ length: elementCount(shape) }, (_, index) =>
    BigInt(randomInteger({ seed: 2, stream: "classes", step: 0 }, index, count)),
  );
  return { dtype: "int64", shape, data };
}

/** A step of training lowers the loss of its batch. */
export async function expectTraining(
  model: ImageModel,
  batch: { readonly x: HostTensor; readonly y: HostTensor },
  { loss = crossEntropy, rate = 0.01 }: { readonly loss?: Loss; readonly rate?: number } = {},
): Promise<void> {
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss }),
    inputs: batchTypes(batch),
    optimizer: sgd(),
    schedule: rate,
  });
  const before = (await trainer.step(batch)).loss;
  const after = (await trainer.step(batch)).loss;
  await trainer.close();
  expect(after).toBeLessThan(before);
}

/** The exported network, of any batch size, gives what the network itself gives. */
export async function expectExport(model: ImageModel, x: HostTensor): Promise<void> {
  const { bytes } = exportOnnx(trace(model, { shape: [batch, ...x.shape.slice(1)] }));
  const session = await defaultRuntime().createSession(bytes);
  const [found] = Object.values(await session.run({ x }));
  await session.close();
  expect(relativeDifference(found!, (await run(model, x)).outputs.y!)).toBeLessThan(1e-5);
  await release(model);
}

/** Worst difference of what a network gives from stored logits, relative to the largest of them. */
export async function differenceFrom(model: ImageModel, x: FileTensor, logits: FileTensor): Promise<number> {
  const { outputs } = await run(model, toHostTensor(x));
  await release(model);
  return relativeDifference(outputs.y!, toHostTensor(logits));
}

function relativeDifference(found: HostTensor, expected: HostTensor): number {
  const [a, b] = [found, expected].map(({ data }) => [...data].map(Number));
  return largestDifference(a!, b!) / Math.max(...b!.map(Math.abs));
}
