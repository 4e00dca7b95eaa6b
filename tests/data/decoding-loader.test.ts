import { describe, expect, it, vi } from "vitest";
import { DataError } from "../../src/base/errors.js";
import { randomShift } from "../../src/data/augment.js";
import { forEvaluation, type ImageDataset, selectImages, sliceDataset } from "../../src/data/dataset.js";
import { type Batch, Loader } from "../../src/data/loader.js";
import { mixup } from "../../src/data/mix.js";
import { preprocessingOf } from "../../src/data/preprocessing.js";
import { syntheticDataset } from "./images.js";

const inner = syntheticDataset(10);

/** The synthetic images, each decoded when the test says so, or after a while. */
function decoded(wait: (index: number) => Promise<void>): { dataset: ImageDataset; begun: number[] } {
  const begun: number[] = [];
  const dataset: ImageDataset = {
    ...preprocessingOf(inner),
    ...{ name: "decoded", length: inner.length, classes: inner.classes },
    async pixels(index) {
      begun.push(index);
      await wait(index);
      return inner.pixels(index);
    },
    label: (index) => inner.label(index),
  };
  return { dataset, begun };
}

const milliseconds = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

describe("a loader of images that are decoded later", () => {
  it("gives the batches of images in memory, whatever is decoded first", async () => {
    const options = {
      batchSize: 4,
      seed: 3,
      augment: [randomShift({ pixels: 1 })],
      mix: [mixup({ alpha: 1 })],
    };
    const expected = await collect(new Loader(inner, options).prefetch(0, { end: 8 }));
    const { dataset } = decoded((index) => milliseconds((7 * index) % 5));
    expect(await collect(new Loader(dataset, options).prefetch(0, { end: 8 }))).toEqual(expected);
    const plain = { batchSize: 3, shuffle: false };
    expect(await collect(new Loader(dataset, plain).sequential())).toEqual(
      await collect(new Loader(inner, plain).sequential()),
    );
  });

  it("has the images of a batch and of those ahead decoded at once, and no more", async () => {
    const { dataset, begun } = decoded(() => new Promise(() => {}));
    void new Loader(dataset, { batchSize: 3, shuffle: false }).prefetch(0, { ahead: 2 }).next();
    await vi.waitFor(() => expect(begun.length).toBe(9));
    await milliseconds(20);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const evaluation = decoded(() => new Promise(() => {}));
    void new Loader(evaluation.dataset, { batchSize: 3 }).sequential().next();
    await milliseconds(20);
    expect(evaluation.begun).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("hands an error on at the step where it happened", async () => {
    const { dataset } = decoded(async (index) => {
      if (index === 4) throw new DataError("image 4");
    });
    const batches = new Loader(dataset, { batchSize: 2, shuffle: false }).prefetch(0, { ahead: 5 });
    await batches.next();
    // Failed ahead of its time, and nobody listens yet.
    await milliseconds(20);
    expect((await batches.next()).done).toBe(false);
    await expect(batches.next()).rejects.toThrow("image 4");
    expect((await batches.next()).done).toBe(true);
  });

  it("refuses images of another size than the batch's", async () => {
    const wrong: ImageDataset = { ...decoded(async () => {}).dataset, pixels: async () => new Uint8Array(7) };
    const loader = new Loader(wrong, { batchSize: 2, shuffle: false });
    const message = "decoded: image 0 has 7 values; all images of a batch are [1, 4, 5]";
    await expect(loader.batch(0)).rejects.toThrow(message);
    await expect(loader.sequential().next()).rejects.toThrow(message);
  });

  it("draws training's own pixels by the sample's position, through views too", async () => {
    const draws: { index: number; stream: string; step: number }[] = [];
    const cropped: ImageDataset = {
      ...decoded(async () => {}).dataset,
      trainingPixels: async (index, { stream, step }) => {
        draws.push({ index, stream, step });
        return inner.pixels(index);
      },
    };
    const part = sliceDataset(selectImages(cropped, [9, 8, 7, 6]), 1, 4);
    await new Loader(part, { batchSize: 2, shuffle: false }).batch(1);
    expect(draws).toEqual([
      { index: 6, stream: "crop", step: 2 },
      { index: 8, stream: "crop", step: 3 },
    ]);
    await new Loader(forEvaluation(part), { batchSize: 2 }).batch(0);
    await collect(new Loader(part, { batchSize: 2 }).sequential());
    expect(draws.length).toBe(2);
  });
});
