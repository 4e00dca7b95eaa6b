import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import { BrokenImageError, type ImageDataset, selectImages } from "../../src/data/dataset.js";
import { type Batch, Loader } from "../../src/data/loader.js";
import {
  type ImageFolderOptions,
  loadImageFolder,
  type TrainingCrop,
} from "../../src/data/node-image-folder.js";
import { loadImage } from "../../src/data/node-load-image.js";
import { importSharp } from "../../src/data/node-sharp.js";
import { preprocessingOf } from "../../src/data/preprocessing.js";
import { readableImages } from "../../src/data/readable.js";
import { splitDataset } from "../../src/data/split.js";
import { computeNormalization } from "../../src/data/statistics.js";
import { picture, slope, writeTree } from "./image-files.js";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "fovea-images-"));
});
afterEach(() => rm(root, { recursive: true }));

/** An image of one colour. */
const plain = (r: number, g = r, b = g) => picture(20, 16, (_x, _y, channel) => [r, g, b][channel]!);

async function allPixels(dataset: ImageDataset): Promise<Uint8Array[]> {
  return Promise.all(Array.from({ length: dataset.length }, (_, index) => dataset.pixels(index)));
}

const labelsOf = (dataset: ImageDataset) =>
  Array.from({ length: dataset.length }, (_, i) => dataset.label(i));

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

describe("folders", () => {
  it("are classes, sorted by name; hidden files, links and others are left out", async () => {
    const png = await plain(9).png().toBuffer();
    await writeTree(root, {
      "zebra/b.PNG": png,
      "zebra/a.png": png,
      "Ant/deep/er/x.png": png,
      "ant/1.png": png,
      "ant/.hidden.png": png,
      "ant/notes.txt": "no image",
      ".cache/1.png": png,
      "list.csv": "a,b",
    });
    await symlink(join(root, "ant/1.png"), join(root, "ant/2.png"));
    await symlink(join(root, "ant"), join(root, "bee"));
    const { train, validation, test, otherFiles } = await loadImageFolder(root, { size: 8 });
    expect(train.classes).toEqual(["Ant", "ant", "zebra"]);
    expect(labelsOf(train)).toEqual([0, 1, 2, 2]);
    expect(train.imageShape).toEqual([3, 8, 8]);
    expect([validation, test, otherFiles]).toEqual([undefined, undefined, 1]);
  });

  it("may be divided into parts", async () => {
    const [a, b, c] = await Promise.all([10, 100, 200].map((grey) => plain(grey).png().toBuffer()));
    await writeTree(root, {
      "train/cat/1.png": a!,
      "train/dog/1.png": b!,
      "val/dog/1.png": c!,
      "test/cat/1.png": b!,
      "other/x/1.png": a!,
    });
    const { train, validation, test } = await loadImageFolder(root, { size: 4 });
    expect([train.classes, validation!.classes]).toEqual([train.classes, ["cat", "dog"]]);
    expect([labelsOf(train), labelsOf(validation!), labelsOf(test!)]).toEqual([[0, 1], [1], [0]]);
    expect((await validation!.pixels(0))[0]).toBe(200);
    expect(train.trainingPixels).toBeDefined();
    expect(validation!.trainingPixels).toBeUndefined();
  });

  it("may have a class named train", async () => {
    const png = await plain(9).png().toBuffer();
    await writeTree(root, { "train/1.png": png, "bus/1.png": png });
    const { train } = await loadImageFolder(root, { size: 4 });
    expect(train.classes).toEqual(["bus", "train"]);
  });

  it("are refused where the images of a part are in none, with the classes' names", async () => {
    const png = await plain(9).png().toBuffer();
    await writeTree(root, {
      "train/cat/1.png": png,
      "train/dog/1.png": png,
      "test/1.png": png,
      "test/2.png": png,
    });
    await expect(loadImageFolder(root, { size: 4 })).rejects.toThrow(
      `${join(root, "test")}: expected images in the classes' folders cat, dog; found none, but 2 beside them`,
    );
  });

  it.each([
    [["train", "val"], "train and val"],
    [["train"], "train"],
    [["cat", "test"], "test"],
  ])("are refused where parts would be classes: %j", async (folders, parts) => {
    const png = await plain(9).png().toBuffer();
    await writeTree(root, Object.fromEntries(folders.map((folder) => [`${folder}/1.png`, png])));
    await expect(loadImageFolder(root, { size: 4 })).rejects.toThrow(
      `${root}: ${parts} would be classes, but are names of parts; expected the classes' folders in ${join(root, "train")}`,
    );
  });

  it("are refused where something is missing, by its path", async () => {
    const png = await plain(9).png().toBuffer();
    const load = () => loadImageFolder(root, { size: 4 });
    await expect(loadImageFolder(join(root, "none"), { size: 4 })).rejects.toThrow(
      `${join(root, "none")} cannot be read (ENOENT); expected a folder`,
    );
    await expect(load()).rejects.toThrow(`${root}: expected a folder for each class, found none`);
    await writeTree(root, { "cat/readme.md": "" });
    await expect(load()).rejects.toThrow(
      `${join(root, "cat")}: expected images (.jpg, .jpeg, .png, .webp, .avif)`,
    );
    await writeTree(root, { "train/cat/1.png": png, "val/emu/1.png": png });
    await expect(load()).rejects.toThrow(`${join(root, "val")}: no training images of emu`);
    await rm(join(root, "val/emu"), { recursive: true });
    await expect(load()).rejects.toThrow(
      `${join(root, "val")}: expected images in the classes' folders cat; found none`,
    );
    await writeTree(root, { "valid/cat/1.png": png });
    await expect(load()).rejects.toThrow("val and valid both stand for the validation images");
    await expect(load()).rejects.toThrow(DataError);
  });
});

describe("decoding", () => {
  /** The pixels of one image as evaluation sees them, and as planes. */
  async function evaluated(name: string, bytes: Uint8Array, options: Partial<ImageFolderOptions> = {}) {
    await writeTree(root, { [`class/${name}`]: bytes });
    const { train } = await loadImageFolder(root, { size: 8, cropRatio: 1, ...options });
    return train.pixels(0);
  }

  it.each(["jpg", "png", "webp", "avif"] as const)("reads %s", async (format) => {
    const image = plain(200, 30, 90);
    const bytes = await (format === "jpg"
      ? image.jpeg({ quality: 100 })
      : image[format]({ quality: 100 })
    ).toBuffer();
    const pixels = await evaluated(`image.${format}`, bytes);
    for (const [channel, expected] of [200, 30, 90].entries()) {
      for (const value of pixels.subarray(64 * channel, 64 * channel + 64)) {
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(4);
      }
    }
  });

  it("keeps an image of its size as it is", async () => {
    const value = (x: number, y: number, channel: number) => (37 * x + 11 * y + 91 * channel) % 256;
    const pixels = await evaluated("image.png", await picture(8, 8, value).png().toBuffer());
    pixels.forEach((found, k) => {
      expect(found).toBe(value(k % 8, Math.floor(k / 8) % 8, Math.floor(k / 64)));
    });
  });

  it("applies the orientation", async () => {
    // Orientation 6: the picture's top is at the right of the stored one, which is to be turned clockwise.
    const bytes = await slope(8, 8).png().withMetadata({ orientation: 6 }).toBuffer();
    const [red, green] = await evaluated("image.png", bytes).then((all) => [all, all.subarray(64)]);
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 8; x++) {
        expect(red![8 * y + x]).toBe(Math.round((255 * y) / 7));
        expect(green![8 * y + x]).toBe(Math.round((255 * (7 - x)) / 7));
      }
    }
  });

  it("makes grey three equal channels, and colours grey where one is asked for", async () => {
    const grey = await picture(8, 8, (x) => 30 * x, 1)
      .png()
      .toBuffer();
    const pixels = await evaluated("image.png", grey);
    expect(pixels.length).toBe(192);
    for (let k = 0; k < 192; k++) expect(pixels[k]).toBe(30 * (k % 8));
    const colours = await picture(8, 8, (_x, _y, channel) => [250, 120, 10][channel]!)
      .png()
      .toBuffer();
    const one = await evaluated("image.png", colours, { channels: 1 });
    expect(one).toEqual(new Uint8Array(64).fill(Math.round(0.299 * 250 + 0.587 * 120 + 0.114 * 10)));
    const same = await evaluated("image.png", grey, { channels: 1 });
    expect([...same.subarray(0, 8)]).toEqual([0, 30, 60, 90, 120, 150, 180, 210]);
  });

  it("shows the background through transparent pixels, white by default", async () => {
    const half = await picture(8, 8, (_x, _y, channel) => [100, 50, 0, 51][channel]!, 4)
      .png()
      .toBuffer();
    const over = (color: number, background: number) => Math.round(0.2 * color + 0.8 * background);
    const firsts = (pixels: Uint8Array) => [0, 64, 128].map((at) => pixels[at]);
    const close = (found: (number | undefined)[], expected: number[]) => {
      expected.forEach((value, i) => {
        expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(1);
      });
    };
    close(firsts(await evaluated("image.png", half)), [over(100, 255), over(50, 255), over(0, 255)]);
    close(firsts(await evaluated("image.png", half, { background: [10, 20, 30] })), [
      over(100, 10),
      over(50, 20),
      over(0, 30),
    ]);
  });

  it("reads CMYK and 16 bits as colours", async () => {
    const cmyk = await plain(200, 10, 30).toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer();
    const [r, g, b] = await evaluated("image.jpg", cmyk).then((all) => [all[0]!, all[64]!, all[128]!]);
    expect(r! - Math.max(g!, b!)).toBeGreaterThan(120);
    await rm(join(root, "class/image.jpg"));
    const deep = await picture(8, 8, (_x, _y, channel) => [200, 10, 30][channel]!).toColourspace("rgb16");
    const pixels = await evaluated("image.png", await deep.png().toBuffer());
    expect([pixels[0], pixels[64], pixels[128]]).toEqual([200, 10, 30]);
  });

  it("resizes in proportion and cuts out the middle", async () => {
    // Of 400 x 100 pixels the middle square remains.
    const bytes = await slope(400, 100).png().toBuffer();
    const [red, green] = await evaluated("image.png", bytes, { size: 10 }).then((all) => [
      all,
      all.subarray(100),
    ]);
    for (let y = 0; y < 10; y++) {
      for (let x = 0; x < 10; x++) {
        expect(Math.abs(red![10 * y + x]! - (255 * (150 + 10 * x + 4.5)) / 399)).toBeLessThanOrEqual(1.5);
        expect(Math.abs(green![10 * y + x]! - (255 * (10 * y + 4.5)) / 99)).toBeLessThanOrEqual(1.5);
      }
    }
    const cropped = await evaluated("image.png", bytes, { size: [14, 28], cropRatio: 0.875 });
    expect(cropped.length).toBe(3 * 14 * 28);
    // The middle 28 of 64 columns.
    expect(Math.abs(cropped[0]! - (255 * (18 / 64 + 0.5 / 64) * 400) / 399)).toBeLessThanOrEqual(2);
  });

  it("reads very long images in bounded memory", async () => {
    const pixels = await evaluated(
      "image.png",
      await plain(77).resize(1, 6000, { fit: "fill" }).png().toBuffer(),
      {
        size: 64,
      },
    );
    expect(pixels).toEqual(new Uint8Array(3 * 64 * 64).fill(77));
  });

  it("refuses images too long to be resized, by what they would become", async () => {
    const png = await plain(77).resize(1, 2_000_000, { fit: "fill" }).png().toBuffer();
    await expect(evaluated("image.png", png, { size: 64 })).rejects.toThrow(
      `${join(root, "class/image.png")}: 1 x 2000000 pixels become 64 x 128000000; at most 100000000 a side are possible`,
    );
  });
});

describe("random crops", () => {
  async function trainingSet(crop: TrainingCrop | undefined, options: Partial<ImageFolderOptions> = {}) {
    await writeTree(root, { "class/image.png": await slope(90, 60).png().toBuffer() });
    return loadImageFolder(root, { size: [12, 16], ...(crop ? { trainingCrop: crop } : {}), ...options });
  }
  const key = (step: number) => ({ seed: 1, stream: "crop", step });

  it("are drawn from the key alone, whether images are kept or not", async () => {
    for (const crop of [undefined, { kind: "plain" }, { kind: "center" }] as const) {
      const [kept, fresh] = [await trainingSet(crop), await trainingSet(crop, { cacheBytes: 0 })];
      if (crop?.kind === "center") {
        expect(kept.train.trainingPixels).toBeUndefined();
        continue;
      }
      const draws = async (dataset: ImageDataset, steps: readonly number[]) => {
        const found = new Map<number, string>();
        for (const step of steps) found.set(step, String(await dataset.trainingPixels!(0, key(step))));
        return steps.toSorted((a, b) => a - b).map((step) => found.get(step)!);
      };
      const first = await draws(kept.train, [0, 1, 2, 3, 4, 5]);
      expect(await draws(fresh.train, [3, 1, 5, 0, 2, 4])).toEqual(first);
      expect(new Set(first).size).toBeGreaterThan(3);
    }
  });

  it("show a rectangle of the image", async () => {
    const { train } = await trainingSet({ kind: "resized", scale: [0.1, 0.3] });
    const areas: number[] = [];
    for (let step = 0; step < 40; step++) {
      const pixels = await train.trainingPixels!(0, key(step));
      // Brightness is the place: how much of it is seen tells the rectangle.
      const seen = (plane: number, from: number, to: number) =>
        (pixels[192 * plane + to]! - pixels[192 * plane + from]!) / 255;
      const [width, height] = [(seen(0, 0, 15) * 16) / 15, (seen(1, 0, 176) * 12) / 11];
      areas.push(width * height);
    }
    expect(Math.min(...areas)).toBeGreaterThan(0.07);
    expect(Math.max(...areas)).toBeLessThan(0.34);
    expect(Math.max(...areas) - Math.min(...areas)).toBeGreaterThan(0.1);
  });
});

describe("broken images", () => {
  async function withBroken(options: Partial<ImageFolderOptions> = {}) {
    const good = await Promise.all(
      [1, 2, 3, 4].map((i) =>
        picture(40, 40, (x, y) => (x * y * i) % 256)
          .jpeg()
          .toBuffer(),
      ),
    );
    await writeTree(root, {
      "a/1.jpg": good[0]!,
      "a/2.jpg": good[1]!.subarray(0, good[1]!.length - 300),
      "a/3.jpg": "this is text",
      "b/1.jpg": good[2]!,
      "b/2.png": "",
      "b/3.jpg": good[3]!,
      "b/4.png": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    });
    return loadImageFolder(root, { size: 16, ...options });
  }

  it("end the work by default, by their path", async () => {
    const { train } = await withBroken();
    await expect(train.pixels(1)).rejects.toThrow(`${join(root, "a/2.jpg")}: the image is damaged`);
    await expect(train.pixels(2)).rejects.toThrow(
      `${join(root, "a/3.jpg")}: no JPEG, PNG, WebP or AVIF image (12 bytes)`,
    );
    await expect(train.pixels(4)).rejects.toThrow(BrokenImageError);
    await expect(train.pixels(6)).rejects.toThrow("no JPEG, PNG");
    const loader = new Loader(train, { batchSize: 2, shuffle: false });
    await expect(loader.batch(0)).rejects.toThrow(join(root, "a/2.jpg"));
    await expect(collect(loader.sequential())).rejects.toThrow(join(root, "a/2.jpg"));
  });

  it("are left out by choice, counted and reported once", async () => {
    const reported: string[] = [];
    const { train, broken } = await withBroken({
      onError: "skip",
      trainingCrop: { kind: "center" },
      onBroken: ({ message }) => reported.push(message),
    });
    const loader = new Loader(train, { batchSize: 2, shuffle: false });
    // Evaluation goes on without them, in batches of one size but the last.
    const evaluated = await collect(loader.sequential());
    expect(evaluated.map(({ indices, y }) => [[...indices], [...y]])).toEqual([
      [
        [0, 3],
        [0n, 1n],
      ],
      [[5], [1n]],
    ]);
    // Training takes the next that can be read.
    const batches = await collect(loader.prefetch(0, { end: 4 }));
    expect(batches.map(({ indices }) => [...indices])).toEqual([
      [0, 3],
      [3, 3],
      [5, 5],
      [0, 0],
    ]);
    expect(batches[1]!.y).toEqual(BigInt64Array.of(1n, 1n));
    expect(broken.length).toBe(4);
    expect(reported.length).toBe(4);
    const { std } = await computeNormalization(train);
    expect(std.every((value) => value > 0)).toBe(true);
  });

  it("are left out of a data set's readable images", async () => {
    const { train, validation } = splitDataset((await withBroken({ onError: "skip" })).train, {
      validation: 0.4,
      seed: 1,
    });
    const parts = [await readableImages(train), await readableImages(validation)];
    expect(parts[0]!.length + parts[1]!.length).toBe(3);
    for (const part of parts) {
      const [batch] = await collect(new Loader(part, { batchSize: 10 }).sequential());
      expect(batch!.indices.length).toBe(part.length);
      expect([...batch!.y].map(Number)).toEqual(labelsOf(part));
    }
    const { train: strict } = await withBroken();
    expect(await readableImages(strict)).toBe(strict);
    const broken = selectImages((await withBroken({ onError: "skip" })).train, [1, 2]);
    await expect(readableImages(broken)).rejects.toThrow("none of the 2 images can be read");
  });

  it("end the work where nothing else is left", async () => {
    await writeTree(root, { "a/1.jpg": "text", "a/2.jpg": "text" });
    const { train } = await loadImageFolder(root, { size: 8, onError: "skip" });
    const loader = new Loader(train, { batchSize: 2 });
    await expect(loader.batch(0)).rejects.toThrow("none of the 2 images can be read");
    await expect(collect(loader.sequential())).rejects.toThrow("none of the 2 images can be read");
  });

  it("are those beyond the limits", async () => {
    await writeTree(root, { "a/1.png": await plain(0).resize(3000, 2000).png().toBuffer(), "a/2.jpg": "" });
    const small = await loadImageFolder(root, { size: 8, maxPixels: 5_999_999 });
    await expect(small.train.pixels(0)).rejects.toThrow(
      `${join(root, "a/1.png")}: 3000 x 2000 pixels; at most 5999999 pixels are decoded`,
    );
    await truncate(join(root, "a/2.jpg"), 2 ** 26 + 1);
    await expect(small.train.pixels(1)).rejects.toThrow("67108865 bytes; at most 67108864 are read");
    await writeFile(join(root, "a/2.jpg"), await plain(0).resize(2, 5000, { fit: "fill" }).png().toBuffer());
    const long = await loadImageFolder(root, {
      size: 64,
      maxPixels: 20_000,
      trainingCrop: { kind: "plain" },
    });
    await expect(async () => long.train.trainingPixels!(1, { seed: 0, stream: "", step: 0 })).rejects.toThrow(
      "2 x 5000 pixels become 73 x 182500",
    );
  });

  it("do not hide a missing decoder", async () => {
    const missing = importSharp(() => Promise.reject(new Error("Cannot find package 'sharp'\nstack")));
    await expect(missing).rejects.toThrow(
      "image files are read by the package sharp, which cannot be loaded (Cannot find package 'sharp'); install it with: npm install sharp",
    );
    await expect(missing).rejects.not.toBeInstanceOf(BrokenImageError);
  });
});

describe("loading in batches", () => {
  async function folderOf(count: number) {
    const files: Record<string, Uint8Array> = {};
    for (let i = 0; i < count; i++) {
      files[`${"ab"[i % 2]}/${String(i).padStart(2, "0")}.jpg`] = await picture(
        30 + i,
        40 - i,
        (x, y, channel) => (x * (i + 3) + 5 * y + 60 * channel) % 256,
      )
        .jpeg()
        .toBuffer();
    }
    await writeTree(root, files);
  }

  it("gives the same batches in any order, at any concurrency, kept or not", async () => {
    await folderOf(11);
    const variants: Partial<ImageFolderOptions>[] = [
      {},
      { concurrency: 1 },
      { cacheBytes: 0, concurrency: 3 },
    ];
    const runs: Batch[][] = [];
    for (const [index, variant] of variants.entries()) {
      const { train } = await loadImageFolder(root, { size: 16, ...variant });
      const loader = new Loader(train, { batchSize: 4, seed: 5 });
      runs.push(await collect(loader.prefetch(0, { end: 7, ahead: index + 1 })));
      // A run that goes on sees what an uninterrupted one does.
      expect(await collect(loader.prefetch(5, { end: 7 }))).toEqual(runs[index]!.slice(5));
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
    for (const { x } of runs[0]!) expect(x.length).toBe(4 * 3 * 16 * 16);
  });

  it("shows a single image as evaluation does", async () => {
    await folderOf(3);
    const { train } = await loadImageFolder(root, {
      size: [16, 24],
      normalization: "cifar10",
      interpolation: "cubic",
    });
    const [batch] = await collect(new Loader(train, { batchSize: 1 }).sequential());
    const path = join(root, "a/00.jpg");
    const fromPath = await loadImage(path, preprocessingOf(train));
    expect(fromPath.x).toEqual({ dtype: "float32", shape: [1, 3, 16, 24], data: batch!.x });
    expect(fromPath.pixels).toEqual((await allPixels(train))[0]);
    expect(fromPath.originalSize).toEqual([40, 30]);
    const bytes = await sharp(path).png().toBuffer();
    expect((await loadImage(bytes, preprocessingOf(train))).originalSize).toEqual([40, 30]);
    await expect(loadImage(bytes, preprocessingOf(train), { maxFileBytes: 10 })).rejects.toThrow(
      "at most 10 are read",
    );
    await expect(loadImage(join(root, "none.png"), preprocessingOf(train))).rejects.toThrow(
      "none.png cannot be read",
    );
    await expect(loadImage(new Uint8Array(20), preprocessingOf(train))).rejects.toThrow(BrokenImageError);
  });
});

describe("options", () => {
  it.each<[string, Partial<ImageFolderOptions>, string]>([
    ["a size of 0", { size: 0 }, "size is 0"],
    ["two channels", { channels: 2 as 3 }, "channels is 2"],
    ["a crop ratio above 1", { cropRatio: 2 }, "cropRatio is 2"],
    ["an unknown kernel", { interpolation: "best" as "linear" }, 'interpolation is "best"'],
    ["a background beyond white", { background: [0, 0, 256] }, "background is 256"],
    ["an unknown normalization", { normalization: "best" as "mnist" }, 'normalization is "best"'],
    ["another number of means", { normalization: { mean: [0], std: [1] } }, "mean is [0]"],
    ["an unknown crop", { trainingCrop: { kind: "best" as "plain" } }, 'trainingCrop.kind is "best"'],
    ["a scale of nothing", { trainingCrop: { kind: "resized", scale: [0, 1] } }, "trainingCrop: scale is 0"],
    ["no concurrency", { concurrency: 0 }, "concurrency is 0"],
    ["a negative cache", { cacheBytes: -1 }, "cacheBytes is -1"],
  ])("refuse %s", async (_, options, message) => {
    const load = () => loadImageFolder(root, { size: 8, ...options });
    await expect(load).rejects.toThrow(OptionError);
    await expect(load).rejects.toThrow(message);
  });

  it("give grey images the average of a named normalization", async () => {
    await writeTree(root, { "a/1.png": await plain(1).png().toBuffer() });
    const { train } = await loadImageFolder(root, { size: 8, channels: 1 });
    expect(train.normalization.mean[0]).toBeCloseTo(0.449, 3);
    const colours = await loadImageFolder(root, { size: 8, normalization: "mnist" });
    expect(colours.train.normalization.std).toEqual([0.3081, 0.3081, 0.3081]);
  });
});
