/** The training step that bench/web.ts measures, in Node.js and in pages. */
import { fillNormal } from "../src/base/random.js";
import { create } from "../src/models/registry.js";
import type { SessionOptions } from "../src/runtime/types.js";
import { crossEntropy } from "../src/train/losses.js";
import { supervised } from "../src/train/objective.js";
import { sgd } from "../src/train/optimizers.js";
import { Trainer } from "../src/train/trainer.js";

/** Prepares a step of SE-ResNet-20 on random images [batch, 3, size, size]. @returns what takes it once */
export async function prepareStep(
  session: SessionOptions,
  { batch, size }: { readonly batch: number; readonly size: number },
): Promise<() => Promise<void>> {
  const model = create("seresnet20");
  const shape = [batch, 3, size, size];
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: { x: { shape }, y: { shape: [batch], dtype: "int64" } },
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
    schedule: 0.01,
    session,
  });
  const data = new Float32Array(batch * 3 * size * size);
  fillNormal(data, { seed: 1, stream: "bench", step: 0 });
  const labels = BigInt64Array.from({ length: batch }, (_, index) => BigInt(index % 10));
  const feeds = {
    x: { dtype: "float32", shape, data },
    y: { dtype: "int64", shape: [batch], data: labels },
  } as const;
  return async () => {
    await trainer.step(feeds);
  };
}
