import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A record of CIFAR's binary format. */
export interface CifarRecord {
  /** Label bytes, as they come in the file. */
  readonly labels: readonly number[];
  /** 3,072 pixels, plane by plane. */
  readonly pixels: Uint8Array;
}

/** Bytes of a file of CIFAR's binary format. */
export function cifarFile(records: readonly CifarRecord[]): Uint8Array {
  return Uint8Array.from(records.flatMap(({ labels, pixels }) => [...labels, ...pixels]));
}

/** Records whose pixel k is (seed + 13 i + 5 k) mod 256, and whose labels go round the classes. */
export function cifarRecords(count: number, classes: readonly number[], seed = 0): CifarRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    labels: classes.map((size) => i % size),
    pixels: Uint8Array.from({ length: 3072 }, (_, k) => seed + 13 * i + 5 * k),
  }));
}

/** Writes a folder in the form of CIFAR-10's binary archive. */
export async function writeCifar10(folder: string, perFile: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files = [
    "data_batch_1",
    "data_batch_2",
    "data_batch_3",
    "data_batch_4",
    "data_batch_5",
    "test_batch",
  ];
  await Promise.all(
    files.map((file, seed) =>
      writeFile(join(folder, `${file}.bin`), cifarFile(cifarRecords(perFile, [10], seed))),
    ),
  );
}
