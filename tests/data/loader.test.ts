import { describe, expect, it, vi } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import {
  type Augmentation,
  randomHorizontalFlip,
  randomRotation,
  randomShift,
} from "../../src/data/augment.js";
import type { ImageDataset } from "../../src/data/dataset.js";
import { type Batch, Loader } from "../../src/data/loader.js";
import { syntheticDataset } from "./images.js";

const augment = [randomRotation({ degrees: 10 }), randomShift({ pixels: 1 }), randomHorizontalFlip()];
/** Changes nothing, but takes the way of augmented images. */
const unchanged: Augmentation = { name: "unchanged", apply: (source, target) => target.set(source) };

function expectEqual(a: Batch, b: Batch): void {
  expect(a.x).toEqual(b.x);
  expect(a.y).toEqual(b.y);
  expect(a.indices).toEqual(b.indices);
}

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

describe("batch", () => {
  const dataset = syntheticDataset(10, [3, 4, 5]);

  it.each([
    ["from bytes", []],
    ["after augmentation", [unchanged]],
  ])("is normalized channel by channel, %s", async (_, stages) => {
    const { x, y, indices } = await new Loader(dataset, { batchSize: 4, seed: 1, augment: stages }).batch(0);
    expect(x.length).toBe(4 * 60);
    indices.forEach((index, i) => {
      expect(y[i]).toBe(BigInt(dataset.label(index)));
      dataset.pixels(index).forEach((byte, j) => {
        const channel = Math.floor(j / 20);
        const expected = (byte / 255 - (0.25 + 0.1 * channel)) / (0.5 + 0.1 * channel);
        expect(x[i * 60 + j]).toBeCloseTo(expected, 5);
      });
    });
  });

  it("carries the rest of an epoch into the next", async () => {
    const loader = new Loader(dataset, { batchSize: 4, seed: 1 });
    const indices: number[] = [];
    for (let step = 0; step < 5; step++) indices.push(...(await loader.batch(step)).indices);
    for (const epoch of [indices.slice(0, 10), indices.slice(10, 20)]) {
      expect(epoch.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect([0, 1, 2, 3, 4, 5].map((step) => loader.epoch(step))).toEqual([0, 0, 0, 1, 1, 2]);
  });

  it("may be larger than the data set", async () => {
    const { indices } = await new Loader(dataset, { batchSize: 25, seed: 1 }).batch(3);
    const counts = Array<number>(10).fill(0);
    for (const index of indices) counts[index]!++;
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...counts)).toBeLessThanOrEqual(3);
  });

  it("depends on the step alone, whatever came before", async () => {
    const options = { batchSize: 4, seed: 9, augment };
    const forward = new Loader(dataset, options);
    const expected: Batch[] = [];
    for (let step = 0; step < 12; step++) expected.push(await forward.batch(step));
    const loader = new Loader(dataset, options);
    for (const step of [11, 3, 7, 3, 0, 11, 5]) expectEqual(await loader.batch(step), expected[step]!);
  });

  it("differs by seed in order and in augmentation", async () => {
    const [a, b] = await Promise.all(
      [1, 2].map((seed) => new Loader(dataset, { batchSize: 10, seed }).batch(0)),
    );
    expect(a!.indices).not.toEqual(b!.indices);
    const [c, d] = await Promise.all(
      [1, 2].map((seed) => new Loader(dataset, { batchSize: 10, seed, shuffle: false, augment }).batch(0)),
    );
    expect(c!.indices).toEqual(d!.indices);
    expect(c!.x).not.toEqual(d!.x);
  });

  it("augments a sample anew each time it comes", async () => {
    const one = new Loader(syntheticDataset(1), {
      batchSize: 8,
      seed: 1,
      augment: [randomRotation({ degrees: 20 })],
    });
    const { x } = await one.batch(0);
    const images = Array.from({ length: 8 }, (_, i) => String(x.slice(i * 20, (i + 1) * 20)));
    expect(new Set(images).size).toBe(8);
  });

  it("augments by the sample's position, whatever the batch size", async () => {
    const one = await new Loader(dataset, { batchSize: 12, seed: 4, augment }).batch(0);
    const parts = await Promise.all(
      [0, 1, 2].map((step) => new Loader(dataset, { batchSize: 4, seed: 4, augment }).batch(step)),
    );
    expect([...one.x]).toEqual(parts.flatMap((part) => [...part.x]));
  });
});

describe("prefetch", () => {
  /** A data set that counts how often it was read. */
  function counted(): { dataset: ImageDataset; reads: () => number } {
    const inner = syntheticDataset(10);
    let reads = 0;
    const { name, length, classes, imageShape, normalization } = inner;
    const dataset: ImageDataset = {
      ...{ name, length, classes, imageShape, normalization },
      label: (index) => inner.label(index),
      pixels(index) {
        reads++;
        return inner.pixels(index);
      },
    };
    return { dataset, reads: () => reads };
  }
  const turns = async (count: number) => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
  };

  it.each([0, 1, 2, 5])("gives the batches of the steps in order, %d ahead", async (ahead) => {
    const loader = new Loader(syntheticDataset(10), { batchSize: 3, seed: 2, augment });
    const batches: Batch[] = [];
    for await (const batch of loader.prefetch(4, { end: 15, ahead })) {
      batches.push(batch);
      // Consumers of different speed.
      await turns(batches.length % 4);
    }
    expect(batches.length).toBe(11);
    for (const [i, batch] of batches.entries()) expectEqual(batch, await loader.batch(4 + i));
  });

  it("prepares two batches while the consumer waits, and no more", async () => {
    const { dataset, reads } = counted();
    const batches = new Loader(dataset, { batchSize: 3 }).prefetch(0);
    await batches.next();
    expect(reads()).toBe(3);
    await vi.waitFor(() => expect(reads()).toBe(9));
    await turns(20);
    expect(reads()).toBe(9);
    await batches.next();
    expect(reads()).toBe(9);
    await vi.waitFor(() => expect(reads()).toBe(12));
    await batches.return();
  });

  it("prepares nothing beyond the end or after the consumer has left", async () => {
    const { dataset, reads } = counted();
    const loader = new Loader(dataset, { batchSize: 3 });
    expect((await collect(loader.prefetch(0, { end: 4 }))).length).toBe(4);
    await turns(20);
    expect(reads()).toBe(12);
    for await (const _ of loader.prefetch(0)) break;
    await turns(20);
    expect(reads()).toBe(15);
    expect(await collect(loader.prefetch(5, { end: 5 }))).toEqual([]);
  });

  it("lets the event loop turn between two batches", async () => {
    const events: string[] = [];
    const noting: Augmentation = {
      name: "noting",
      apply(source, target) {
        target.set(source);
        events.push("batch");
      },
    };
    const batches = new Loader(syntheticDataset(4), { batchSize: 1, augment: [noting] }).prefetch(0, {
      ahead: 4,
    });
    await batches.next();
    for (let i = 0; i < 12; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      events.push("turn");
    }
    await batches.return();
    expect(events.filter((event) => event === "batch").length).toBe(5);
    expect(events.slice(1).join()).not.toContain("batch,batch");
  });

  it("hands an error on at the step where it happened", async () => {
    let calls = 0;
    const failing: Augmentation = {
      name: "failing",
      apply(source, target) {
        if (++calls === 3) throw new Error("third sample");
        target.set(source);
      },
    };
    const batches = new Loader(syntheticDataset(4), { batchSize: 1, augment: [failing] }).prefetch(0);
    await batches.next();
    await turns(10);
    expect((await batches.next()).done).toBe(false);
    await expect(batches.next()).rejects.toThrow("third sample");
    expect((await batches.next()).done).toBe(true);
  });
});

describe("sequential", () => {
  it("gives every image once, in order, not augmented, the last batch smaller", async () => {
    const dataset = syntheticDataset(10);
    const batches = await collect(new Loader(dataset, { batchSize: 4, seed: 1, augment }).sequential());
    expect(batches.map(({ indices }) => [...indices])).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    expect(batches.map(({ x, y }) => [x.length, y.length])).toEqual([
      [80, 4],
      [80, 4],
      [40, 2],
    ]);
    expectEqual(batches[0]!, await new Loader(dataset, { batchSize: 4, shuffle: false }).batch(0));
    expect((await collect(new Loader(dataset, { batchSize: 4 }).sequential(100))).length).toBe(1);
  });
});

describe("options", () => {
  const dataset = syntheticDataset(4);
  it.each<[string, () => unknown, string]>([
    [
      "a batch size of 0",
      () => new Loader(dataset, { batchSize: 0 }),
      "loader: batchSize is 0; it must be an integer",
    ],
    ["a batch size of NaN", () => new Loader(dataset, { batchSize: Number.NaN }), "batchSize is NaN"],
    ["a negative seed", () => new Loader(dataset, { batchSize: 1, seed: -1 }), "seed is -1"],
    ["an empty data set", () => new Loader(syntheticDataset(0), { batchSize: 1 }), "dataset.length is 0"],
  ])("refuse %s", (_, make, message) => {
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });

  it("refuse a step or a range of steps that is none", async () => {
    const loader = new Loader(dataset, { batchSize: 1 });
    await expect(loader.batch(-1)).rejects.toThrow("step is -1");
    await expect(new Loader(dataset, { batchSize: 4 }).batch(2 ** 52)).rejects.toThrow(
      "step is 4503599627370496",
    );
    await expect(loader.sequential(0).next()).rejects.toThrow("batchSize is 0");
    await expect(loader.prefetch(-1).next()).rejects.toThrow("start is -1");
    await expect(loader.prefetch(0, { ahead: 0.5 }).next()).rejects.toThrow("ahead is 0.5");
    await expect(loader.prefetch(0, { end: Number.NaN }).next()).rejects.toThrow("end is NaN");
  });
});
