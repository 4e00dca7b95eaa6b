import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import { MemoryDataset, type MemoryDatasetOptions, sliceDataset } from "../../src/data/dataset.js";
import { syntheticDataset } from "./images.js";

const good: MemoryDatasetOptions = {
  name: "tiny",
  classes: ["no", "yes"],
  imageShape: [1, 2, 2],
  normalization: { mean: [0], std: [1] },
  images: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7),
  labels: [1, 0],
};

describe("MemoryDataset", () => {
  it("gives pixels and labels by index", () => {
    const dataset = new MemoryDataset(good);
    expect(dataset.length).toBe(2);
    expect([...dataset.pixels(1)]).toEqual([4, 5, 6, 7]);
    expect([dataset.label(0), dataset.label(1)]).toEqual([1, 0]);
  });

  it.each([-1, 2, 0.5, Number.NaN])("refuses index %d", (index) => {
    const dataset = new MemoryDataset(good);
    expect(() => dataset.pixels(index)).toThrow(`tiny: no image ${index}; there are 2`);
    expect(() => dataset.label(index)).toThrow(DataError);
  });

  it.each<[string, Partial<MemoryDatasetOptions>, string]>([
    [
      "pixels that are not whole images",
      { images: new Uint8Array(7) },
      "7 pixels are not a whole number of [1,2,2] images",
    ],
    ["labels of another number", { labels: [0, 1, 0] }, "tiny: 2 images, but 3 labels"],
    ["a label that is no class", { labels: [0, 2] }, "the label of image 1 is 2; the classes are 0 to 1"],
    ["a label that is no integer", { labels: [0.5, 0] }, "the label of image 0 is 0.5"],
  ])("refuses %s", (_, change, message) => {
    expect(() => new MemoryDataset({ ...good, ...change })).toThrow(message);
    expect(() => new MemoryDataset({ ...good, ...change })).toThrow(DataError);
  });

  it.each<[string, Partial<MemoryDatasetOptions>, string]>([
    ["an empty size", { imageShape: [1, 0, 2] }, "imageShape is 0"],
    [
      "another number of means",
      { normalization: { mean: [0, 0], std: [1] } },
      "mean is [0,0]; it must be 1 finite",
    ],
    ["a standard deviation of zero", { normalization: { mean: [0], std: [0] } }, "std is [0]"],
    ["a mean that is NaN", { normalization: { mean: [Number.NaN], std: [1] } }, "mean is [NaN]"],
  ])("refuses %s", (_, change, message) => {
    expect(() => new MemoryDataset({ ...good, ...change })).toThrow(message);
    expect(() => new MemoryDataset({ ...good, ...change })).toThrow(OptionError);
  });
});

describe("sliceDataset", () => {
  it("shows a part as a whole", async () => {
    const whole = syntheticDataset(10);
    const part = sliceDataset(whole, 4, 7);
    expect(part).toMatchObject({ length: 3, classes: whole.classes, imageShape: whole.imageShape });
    for (let i = 0; i < 3; i++) {
      expect(await part.pixels(i)).toEqual(whole.pixels(4 + i));
      expect(part.label(i)).toBe(whole.label(4 + i));
    }
    expect(() => part.pixels(3)).toThrow("no image 3; there are 3");
    expect(() => part.label(-1)).toThrow(DataError);
  });

  it("refuses parts beyond the whole", () => {
    const whole = syntheticDataset(10);
    expect(() => sliceDataset(whole, 0, 11)).toThrow("end is 11");
    expect(() => sliceDataset(whole, 6, 5)).toThrow(OptionError);
    expect(() => sliceDataset(whole, -1, 5)).toThrow("start is -1");
  });
});
