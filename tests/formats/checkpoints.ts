import { readFileSync } from "node:fs";
import { type ZipMember, zipFile } from "./zip.js";

const folder = new URL("../fixtures/pytorch/checkpoints/", import.meta.url);

/** A file that scripts/pytorch/checkpoints.py wrote. */
export function fixture(name: string): Buffer {
  return readFileSync(new URL(name, folder));
}

/** A checkpoint in the zip layout. */
export function checkpoint(
  pickle: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = {},
  others: readonly ZipMember[] = [],
): Uint8Array {
  return zipFile([
    { name: "archive/data.pkl", data: pickle },
    ...Object.entries(storages).map(([key, data]) => ({ name: `archive/data/${key}`, data })),
    ...others,
  ]).bytes;
}
