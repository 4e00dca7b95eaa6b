import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DataError, FormatError, FoveaError } from "../../src/base/errors.js";
import { parseCifar10, parseCifar100 } from "../../src/data/cifar.js";
import { cifar10Classes, cifar100Classes, cifar100CoarseClasses } from "../../src/data/cifar-classes.js";
import { loadCifar10, loadCifar100 } from "../../src/data/node-cifar.js";
import { cifarFile, cifarRecords, writeCifar10 } from "./cifar-files.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-cifar-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("class names", () => {
  it("are the published ones, in order", () => {
    expect(cifar10Classes.length).toBe(10);
    expect(cifar100Classes.length).toBe(100);
    expect(cifar100CoarseClasses.length).toBe(20);
    expect([...cifar100Classes].sort()).toEqual(cifar100Classes);
    expect(new Set(cifar100Classes).size).toBe(100);
    expect([cifar10Classes[9], cifar100Classes[99], cifar100CoarseClasses[10]]).toEqual([
      "truck",
      "worm",
      "large_natural_outdoor_scenes",
    ]);
  });
});

describe("parseCifar10", () => {
  it("joins the records of its files", () => {
    const files = [3, 2].map((count, seed) => ({
      source: `file ${seed}`,
      bytes: cifarFile(cifarRecords(count, [10], seed)),
    }));
    const dataset = parseCifar10("tiny", files, cifar10Classes);
    expect(dataset).toMatchObject({ name: "tiny", length: 5, imageShape: [3, 32, 32] });
    expect(dataset.normalization.mean).toEqual([0.4914, 0.4822, 0.4465]);
    expect([0, 1, 2, 3, 4].map((index) => dataset.label(index))).toEqual([0, 1, 2, 0, 1]);
    expect(dataset.pixels(4)).toEqual(cifarRecords(2, [10], 1)[1]!.pixels);
  });

  it("never fails but with an error of its own, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 7000 }), (bytes) => {
        try {
          const { length } = parseCifar10("any", [{ source: "any.bin", bytes }], cifar10Classes);
          expect(length * 3073).toBe(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(FoveaError);
        }
      }),
    );
  });

  it.each<[string, Uint8Array, typeof FoveaError, string]>([
    [
      "a truncated file",
      cifarFile(cifarRecords(2, [10])).subarray(0, 6000),
      FormatError,
      "a.bin: expected records of 3073 bytes, found 6000 bytes, which are 1 records and 2927 bytes",
    ],
    ["an empty file", new Uint8Array(), FormatError, "found 0 bytes"],
    [
      "a label that is no class",
      cifarFile([cifarRecords(1, [10])[0]!, { labels: [10], pixels: new Uint8Array(3072) }]),
      DataError,
      "a.bin: the label of record 1 is 10; the classes are 0 to 9",
    ],
  ])("refuses %s", (_, bytes, kind, message) => {
    const parse = () => parseCifar10("tiny", [{ source: "a.bin", bytes }], cifar10Classes);
    expect(parse).toThrow(kind);
    expect(parse).toThrow(message);
  });
});

describe("parseCifar100", () => {
  it("takes the fine or the coarse label", () => {
    const file = { source: "train.bin", bytes: cifarFile(cifarRecords(25, [20, 100])) };
    const fine = parseCifar100("tiny", file, cifar100Classes);
    const coarse = parseCifar100("tiny", file, cifar100CoarseClasses, "coarse");
    expect([fine.label(24), coarse.label(24)]).toEqual([24, 4]);
    expect(coarse.pixels(24)).toEqual(cifarRecords(25, [20, 100])[24]!.pixels);
    expect(fine.normalization.mean[0]).toBe(0.5071);
  });
});

describe("loading from a folder", () => {
  it("reads CIFAR-10 from its folder, or from the one around it", async () => {
    await writeCifar10(join(folder, "cifar-10-batches-bin"), 4);
    for (const path of [folder, join(folder, "cifar-10-batches-bin")]) {
      const { train, test } = await loadCifar10({ folder: path });
      expect([train.length, test.length]).toEqual([20, 4]);
      expect(train.classes).toEqual(cifar10Classes);
      expect(train.pixels(9)).toEqual(cifarRecords(4, [10], 2)[1]!.pixels);
      expect(test.pixels(0)[0]).toBe(5);
    }
  });

  it("reads the classes' names where they are given", async () => {
    await writeCifar10(folder, 1);
    const names = Array.from({ length: 10 }, (_, index) => `kind ${index}`);
    await writeFile(join(folder, "batches.meta.txt"), `${names.join("\r\n")}\n\n`);
    expect((await loadCifar10({ folder })).test.classes).toEqual(names);
    await writeFile(join(folder, "batches.meta.txt"), "cat\ndog\n");
    await expect(loadCifar10({ folder })).rejects.toThrow(
      `${join(folder, "batches.meta.txt")}: expected 10 names of classes, found 2`,
    );
  });

  it("reads CIFAR-100 by either label", async () => {
    await writeFile(join(folder, "train.bin"), cifarFile(cifarRecords(30, [20, 100])));
    await writeFile(join(folder, "test.bin"), cifarFile(cifarRecords(2, [20, 100])));
    await writeFile(join(folder, "coarse_label_names.txt"), "x\n".repeat(20));
    const { train, test } = await loadCifar100({ folder });
    expect([train.length, test.length, train.label(29), train.classes[29]]).toEqual([30, 2, 29, "dinosaur"]);
    const coarse = await loadCifar100({ folder, labels: "coarse" });
    expect([coarse.train.label(29), coarse.train.classes[9]]).toEqual([9, "x"]);
  });

  it("names what is missing or damaged", async () => {
    await writeCifar10(folder, 2);
    const third = join(folder, "data_batch_3.bin");
    await rm(third);
    await expect(loadCifar10({ folder })).rejects.toThrow(
      `${third} cannot be read (ENOENT); unpack the binary version of CIFAR-10 there`,
    );
    await mkdir(third);
    await expect(loadCifar10({ folder })).rejects.toThrow(`${third} is no file`);
    await rm(third, { recursive: true });
    await writeFile(third, new Uint8Array(3073));
    await truncate(join(folder, "test_batch.bin"), 100);
    await expect(loadCifar10({ folder })).rejects.toThrow(
      `${join(folder, "test_batch.bin")}: expected records`,
    );
    await truncate(join(folder, "test_batch.bin"), 2 ** 30 + 1);
    await expect(loadCifar10({ folder })).rejects.toThrow("at most 1073741824 are read");
    const none = join(folder, "none");
    await expect(loadCifar100({ folder: none })).rejects.toThrow(`${none} cannot be read (ENOENT)`);
    await expect(loadCifar100({ folder: none })).rejects.toThrow(DataError);
  });
});
