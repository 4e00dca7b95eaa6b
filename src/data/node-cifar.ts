import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "../base/errors.js";
import { type CifarLabels, parseCifar10, parseCifar100 } from "./cifar.js";
import { cifar10Classes, cifar100Classes, cifar100CoarseClasses } from "./cifar-classes.js";
import type { MemoryDataset } from "./dataset.js";
import { readBounded } from "./node-read-file.js";

/** CIFAR-10 or CIFAR-100 in its two parts. */
export interface Cifar {
  /** 50,000 images. */
  readonly train: MemoryDataset;
  /** 10,000 images. */
  readonly test: MemoryDataset;
}

/** Larger files are refused before they are read; CIFAR-100's training images have 154 MB. */
const maxFileBytes = 2 ** 30;
const maxNamesBytes = 2 ** 16;

/**
 * Reads CIFAR-10, or a data set in its form, from the files data_batch_1.bin to data_batch_5.bin, test_batch.bin and, where it is
 * there, batches.meta.txt (the names of the classes; the published ones otherwise).
 * @param options.folder the archive's folder cifar-10-batches-bin, or the one around it
 * @throws DataError naming the file that is missing or does not fit; FormatError for a damaged one
 */
export async function loadCifar10(options: { readonly folder: string }): Promise<Cifar> {
  const folder = await archiveFolder(options.folder, "cifar-10-batches-bin");
  const classes = await classNames(join(folder, "batches.meta.txt"), cifar10Classes);
  const part = async (name: string, files: readonly string[]) =>
    parseCifar10(name, await Promise.all(files.map((file) => readPart(folder, file, "CIFAR-10"))), classes);
  const batches = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`);
  const [train, test] = await Promise.all([
    part("CIFAR-10 train", batches),
    part("CIFAR-10 test", ["test_batch.bin"]),
  ]);
  return { train, test };
}

/**
 * Reads CIFAR-100, or a data set in its form, from the files train.bin, test.bin and, where they are there, fine_label_names.txt or
 * coarse_label_names.txt.
 * @param options.folder the archive's folder cifar-100-binary, or the one around it
 * @param options.labels whether the 100 fine classes are learned (default) or the 20 coarse ones
 * @throws as `loadCifar10`
 */
export async function loadCifar100(options: {
  readonly folder: string;
  readonly labels?: CifarLabels;
}): Promise<Cifar> {
  const { labels = "fine" } = options;
  const folder = await archiveFolder(options.folder, "cifar-100-binary");
  const published = labels === "fine" ? cifar100Classes : cifar100CoarseClasses;
  const classes = await classNames(join(folder, `${labels}_label_names.txt`), published);
  const part = async (name: string, file: string) =>
    parseCifar100(name, await readPart(folder, file, "CIFAR-100"), classes, labels);
  const [train, test] = await Promise.all([
    part("CIFAR-100 train", "train.bin"),
    part("CIFAR-100 test", "test.bin"),
  ]);
  return { train, test };
}

/** The folder itself, or the archive's folder in it. */
async function archiveFolder(folder: string, archive: string): Promise<string> {
  const entries = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new DataError(`${folder} cannot be read (${cause.code}); expected the folder of ${archive}`, {
      cause,
    });
  });
  return entries.includes(archive) ? join(folder, archive) : folder;
}

async function readPart(folder: string, file: string, dataset: string) {
  const source = join(folder, file);
  const remedy = `unpack the binary version of ${dataset} there`;
  return { source, bytes: await readBounded(source, maxFileBytes, remedy) };
}

/** The names in a file, one a line; the published ones where there is no such file. @throws DataError for another number of names */
async function classNames(path: string, published: readonly string[]): Promise<readonly string[]> {
  let text: string;
  try {
    text = new TextDecoder().decode(await readBounded(path, maxNamesBytes));
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === "ENOENT") return published;
    throw error;
  }
  const names = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (names.length !== published.length) {
    throw new DataError(`${path}: expected ${published.length} names of classes, found ${names.length}`);
  }
  return names;
}
