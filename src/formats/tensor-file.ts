import { FormatError } from "../base/errors.js";
import type { FileTensor } from "./file-tensor.js";
import type { CheckpointValue } from "./flatten.js";
import { readPyTorch } from "./pytorch.js";
import { readSafetensors } from "./safetensors.js";

/** Tensors of a file, and what else it says. */
export interface TensorFile {
  /** `pytorch` is the zip layout, `pytorch-legacy` that of PyTorch before 1.6. */
  readonly format: "safetensors" | "pytorch" | "pytorch-legacy";
  /** The key of a PyTorch file's object under which the state dict was found; undefined where the object is one itself. */
  readonly stateDict: string | undefined;
  /** The tensors of the state dict by name; most are views into the file's bytes. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** Tensors beside the state dict, such as the optimizer's, by path. */
  readonly otherTensors: ReadonlyMap<string, FileTensor>;
  /** Everything that is no tensor: the epoch of a PyTorch file, the metadata of a safetensors file. */
  readonly values: ReadonlyMap<string, CheckpointValue>;
}

/** Options of `readTensorFile`. */
export interface ReadTensorFileOptions {
  /** Shown in errors, such as the file's name. */
  readonly source?: string;
  /** The key of the state dict to be read where a PyTorch file has several, such as `state_dict_ema`. */
  readonly stateDict?: string;
}

/**
 * Reads weights from a safetensors file or a PyTorch checkpoint (zip or legacy). What it is shows in its bytes; a file's name
 * is not asked for.
 * @throws FormatError for anything else, saying what was found, and for a damaged or hostile file
 */
export function readTensorFile(bytes: Uint8Array, options: ReadTensorFileOptions = {}): TensorFile {
  const { source = "tensor file", stateDict } = options;
  // First, as the length of a safetensors header may begin with the signature of the others.
  if (bytes[headerStart] === openBrace) {
    if (stateDict !== undefined) {
      throw new FormatError(`${source}: no state dict "${stateDict}"; a safetensors file has tensors only`);
    }
    const { tensors, metadata } = readSafetensors(bytes, { source });
    const values = new Map(Object.entries(metadata));
    return { format: "safetensors", stateDict, tensors, otherTensors: new Map(), values };
  }
  if (begins(bytes, zipSignature) || begins(bytes, [0x80])) {
    const { layout, ...read } = readPyTorch(bytes, { ...options, source });
    return { format: layout === "zip" ? "pytorch" : "pytorch-legacy", ...read };
  }
  throw new FormatError(
    `${source}: expected a safetensors file or a PyTorch checkpoint, found ${describe(bytes)}`,
  );
}

/** A safetensors header follows its length in 8 bytes. */
const headerStart = 8;
const openBrace = 0x7b;
const zipSignature = [0x50, 0x4b];

/** What files taken for weights begin with. */
const others: readonly (readonly [start: string, meaning: string])[] = [
  ["version https://git-lfs", "a Git LFS pointer, which stands for a file that was not fetched"],
  ["<", "a web page or XML"],
  ["{", "JSON text"],
  ["\x89HDF", "an HDF5 file (Keras)"],
  ["GGUF", "a GGUF file"],
  ["\x93NUMPY", "a NumPy array"],
  ["\x1f\x8b", "gzip data; unpack it first"],
  ["\x28\xb5\x2f\xfd", "zstd data; unpack it first"],
];

function describe(bytes: Uint8Array): string {
  if (bytes.length === 0) return "an empty file";
  const found = others.find(([start]) =>
    begins(
      bytes,
      [...start].map((character) => character.charCodeAt(0)),
    ),
  );
  if (found) return found[1];
  const start = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0"));
  return `${bytes.length} bytes that start with ${start.join(" ")}`;
}

function begins(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}
