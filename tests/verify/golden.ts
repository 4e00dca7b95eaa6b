import { readFileSync } from "node:fs";
import type { HostTensor } from "../../src/base/dtype.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors, type WritableTensor, writeSafetensors } from "../../src/formats/safetensors.js";

const root = new URL("../goldens/", import.meta.url);

export function goldenBytes(file: string): Uint8Array {
  return readFileSync(new URL(file, root));
}

/** The same file with another case or other tensors. */
export function changed(
  file: string,
  change: {
    case?: (text: string) => string;
    tensors?: (tensors: Map<string, WritableTensor>) => void;
  },
): Uint8Array {
  const { metadata, tensors } = readSafetensors(goldenBytes(file));
  const copies = new Map<string, WritableTensor>(
    [...tensors].map(([name, tensor]) => [name, toHostTensor(tensor, name)]),
  );
  change.tensors?.(copies);
  return writeSafetensors(copies, { case: change.case?.(metadata.case!) ?? metadata.case! });
}

/** Adds to one element of a float32 tensor. */
export function nudge(tensors: Map<string, WritableTensor>, name: string, amount: number): void {
  const tensor = tensors.get(name) as HostTensor;
  (tensor.data as Float32Array)[0]! += amount;
}
