import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import { BrokenImageError, type ImageDataset, withNormalization } from "../../src/data/dataset.js";
import { Loader } from "../../src/data/loader.js";
import { namedNormalization } from "../../src/data/normalization.js";
import { preprocessingOf, readPreprocessing } from "../../src/data/preprocessing.js";
import { computeNormalization } from "../../src/data/statistics.js";
import { syntheticDataset } from "./images.js";

describe("computeNormalization", () => {
  const dataset = syntheticDataset(70, [3, 4, 5]);

  it("makes images of mean 0 and deviation 1, channel by channel", async () => {
    const normalized = withNormalization(dataset, await computeNormalization(dataset));
    const { x } = await new Loader(normalized, { batchSize: 70 }).batch(0);
    for (const channel of [0, 1, 2]) {
      const values = x.filter((_, k) => Math.floor(k / 20) % 3 === channel);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      expect(mean).toBeCloseTo(0, 5);
      expect(variance).toBeCloseTo(1, 5);
    }
  });

  it("takes a bounded number of images, chosen by the seed", async () => {
    const read = new Set<number>();
    const watched: ImageDataset = {
      ...preprocessingOf(dataset),
      name: "watched",
      length: 70,
      classes: dataset.classes,
      pixels: async (index) => {
        read.add(index);
        return dataset.pixels(index);
      },
      label: (index) => dataset.label(index),
    };
    const some = await computeNormalization(watched, { samples: 10, seed: 1 });
    expect(read.size).toBe(10);
    expect(await computeNormalization(watched, { samples: 10, seed: 1 })).toEqual(some);
    expect(read.size).toBe(10);
    expect(await computeNormalization(watched, { samples: 10, seed: 2 })).not.toEqual(some);
  });

  it("leaves out broken images where the data set does", async () => {
    const broken = (onError: "skip" | "fail"): ImageDataset => ({
      ...preprocessingOf(dataset),
      ...{ name: "broken", length: 70, classes: dataset.classes, onError },
      pixels: async (index) => {
        if (index % 2 === 0) throw new BrokenImageError("image.jpg: damaged");
        return dataset.pixels(index);
      },
      label: (index) => dataset.label(index),
    });
    await expect(computeNormalization(broken("fail"))).rejects.toThrow("image.jpg: damaged");
    const { mean } = await computeNormalization(broken("skip"));
    let sum = 0;
    for (let index = 1; index < 70; index += 2)
      for (const byte of dataset.pixels(index).subarray(0, 20)) sum += byte;
    expect(mean[0]).toBeCloseTo(sum / (35 * 20 * 255), 10);
  });

  it("refuses images without contrast, and samples that are none", async () => {
    const flat: ImageDataset = {
      ...preprocessingOf(dataset),
      ...{ name: "flat", length: 3, classes: ["a"] },
      pixels: () => new Uint8Array(60).fill(7),
      label: () => 0,
    };
    await expect(computeNormalization(flat)).rejects.toThrow("flat: channel 0 is 7 everywhere");
    await expect(computeNormalization(flat)).rejects.toThrow(DataError);
    await expect(computeNormalization(flat, { samples: 0 })).rejects.toThrow(OptionError);
  });
});

describe("normalizations by name", () => {
  it("are the published ones", () => {
    expect(namedNormalization("imagenet")).toEqual({
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    });
    expect(namedNormalization("cifar10").mean[0]).toBe(0.4914);
    for (const name of ["nonesuch", "toString"]) {
      expect(() => namedNormalization(name as "mnist")).toThrow(`normalization is "${name}"`);
    }
  });
});

describe("preprocessing", () => {
  const stored = preprocessingOf(syntheticDataset(1, [3, 4, 5]));

  it("survives JSON", () => {
    expect(readPreprocessing(JSON.parse(JSON.stringify(stored)), "model")).toEqual(stored);
  });

  it.each<[string, unknown, string]>([
    ["no object", 7, "model: malformed image preprocessing"],
    ["a crop ratio of 0", { ...stored, cropRatio: 0 }, "cropRatio"],
    ["two channels", { ...stored, imageShape: [2, 4, 5] }, "imageShape.0"],
    ["a huge image", { ...stored, imageShape: [3, 1e9, 5] }, "imageShape.1"],
    [
      "another number of means",
      { ...stored, normalization: { mean: [0], std: [1] } },
      "a mean and a std for each channel",
    ],
    [
      "a deviation of 0",
      { ...stored, normalization: { mean: [0, 0, 0], std: [1, 0, 1] } },
      "normalization.std.1",
    ],
    ["an unknown kernel", { ...stored, interpolation: "best" }, "interpolation"],
  ])("is refused with %s", (_, value, message) => {
    expect(() => readPreprocessing(value, "model")).toThrow(DataError);
    expect(() => readPreprocessing(value, "model")).toThrow(message);
  });
});
