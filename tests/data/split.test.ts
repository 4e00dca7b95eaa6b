import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import type { ImageDataset } from "../../src/data/dataset.js";
import { splitDataset } from "../../src/data/split.js";
import { syntheticDataset } from "./images.js";

/** A data set of the given labels whose image i is i. */
function labelled(labels: readonly number[]): ImageDataset {
  return {
    name: "labelled",
    length: labels.length,
    classes: ["a", "b", "c", "d"],
    imageShape: [1, 1, 1],
    normalization: { mean: [0], std: [1] },
    pixels: (index) => Uint8Array.of(index),
    trainingPixels: () => Uint8Array.of(255),
    label: (index) => labels[index]!,
  };
}

const imagesOf = async (part: ImageDataset) => {
  const images: number[] = [];
  for (let index = 0; index < part.length; index++) images.push((await part.pixels(index))[0]!);
  return images;
};

describe("splitDataset", () => {
  it("puts every image in one part, with its label, in the order of the whole", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { minLength: 8, maxLength: 60 }),
        fc.double({ min: 0.15, max: 0.85, noNaN: true }),
        fc.boolean(),
        fc.nat(100),
        async (labels, validation, stratified, seed) => {
          const whole = labelled([0, 0, 0, 0, 0, 0, 0, 0, ...labels]);
          const parts = splitDataset(whole, { validation, seed, stratified });
          const again = splitDataset(whole, { validation, seed, stratified });
          const train = await imagesOf(parts.train);
          const rest = await imagesOf(parts.validation);
          expect(await imagesOf(again.train)).toEqual(train);
          expect([...train, ...rest].sort((a, b) => a - b)).toEqual(
            Array.from({ length: whole.length }, (_, index) => index),
          );
          expect(train).toEqual(train.toSorted((a, b) => a - b));
          rest.forEach((image, index) => {
            expect(parts.validation.label(index)).toBe(whole.label(image));
          });
        },
      ),
    );
  });

  it("divides each class in proportion, and leaves each at least one to train on", () => {
    const labels = [...Array(50).fill(0), ...Array(30).fill(1), ...Array(19).fill(2), 3] as number[];
    const { train, validation } = splitDataset(labelled(labels), { validation: 0.2 });
    const count = (part: ImageDataset, label: number) =>
      Array.from({ length: part.length }, (_, index) => part.label(index)).filter((is) => is === label)
        .length;
    expect([0, 1, 2, 3].map((label) => count(validation, label))).toEqual([10, 6, 4, 0]);
    expect([0, 1, 2, 3].map((label) => count(train, label))).toEqual([40, 24, 15, 1]);
  });

  it("takes the share exactly where classes do not matter", () => {
    const { train, validation } = splitDataset(syntheticDataset(103), {
      validation: 0.25,
      stratified: false,
    });
    expect([train.length, validation.length]).toEqual([77, 26]);
  });

  it("differs by seed, and crops at random in training alone", async () => {
    const whole = labelled(Array(40).fill(1) as number[]);
    const [a, b] = [1, 2].map((seed) => splitDataset(whole, { validation: 0.5, seed }));
    expect(await imagesOf(a!.validation)).not.toEqual(await imagesOf(b!.validation));
    expect(a!.train.trainingPixels).toBeDefined();
    expect(a!.validation.trainingPixels).toBeUndefined();
  });

  it("refuses shares that are none, and parts without images", () => {
    const whole = syntheticDataset(9);
    for (const validation of [0, 1, -0.5, Number.NaN]) {
      expect(() => splitDataset(whole, { validation })).toThrow(OptionError);
    }
    expect(() => splitDataset(whole, { validation: 0.001 })).toThrow(DataError);
    expect(() => splitDataset(whole, { validation: 0.001 })).toThrow("divides its 9 images into 9 and 0");
  });
});
