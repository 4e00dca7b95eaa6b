import { type DType, elementCount, type HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";

/** Element types of stored tensors: those of a graph and those that become one of them when read. */
export type FileDType =
  | DType
  | "float64"
  | "float16"
  | "bfloat16"
  | "int8"
  | "int16"
  | "int32"
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64";

/** Bytes per element in a file. */
export const fileBytesPerElement: Readonly<Record<FileDType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint64: 8,
  uint32: 4,
  uint16: 2,
  uint8: 1,
  bool: 1,
};

/** A tensor as stored: little-endian row-major bytes at any alignment, often a view into the file's. */
export interface FileTensor {
  readonly dtype: FileDType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/**
 * Copies a stored tensor to the host, in the graph dtype of its kind: floating point becomes float32 (rounded to
 * nearest), integers become int64, bool stays bool.
 * @param name shown in errors
 * @throws FormatError where bytes and shape differ, a bool is neither 0 nor 1, or a uint64 exceeds int64
 */
export function toHostTensor({ dtype, shape, data }: FileTensor, name = "tensor"): HostTensor {
  const length = elementCount(shape);
  if (length * fileBytesPerElement[dtype] !== data.byteLength) {
    throw new FormatError(`${name}: ${dtype} [${shape}] does not fit its ${data.byteLength} bytes`);
  }
  // A copy of its own is aligned, whatever the file's layout, and can be transferred without detaching the file.
  const { buffer } = new Uint8Array(data);
  const kind = graphDType[dtype];
  if (kind === "float32") return { dtype: kind, shape, data: float32Values(dtype, buffer) };
  if (kind === "int64") return { dtype: kind, shape, data: int64Values(dtype, buffer, name) };
  const values = new Uint8Array(buffer);
  const wrong = values.findIndex((value) => value > 1);
  if (wrong >= 0) {
    throw new FormatError(`${name}: element ${wrong} is ${values[wrong]}; a bool is stored as 0 or 1`);
  }
  return { dtype: kind, shape, data: values };
}

/** The dtype on the host of each dtype of files. */
export const graphDType: Readonly<Record<FileDType, DType>> = {
  float64: "float32",
  float32: "float32",
  float16: "float32",
  bfloat16: "float32",
  int64: "int64",
  int32: "int64",
  int16: "int64",
  int8: "int64",
  uint64: "int64",
  uint32: "int64",
  uint16: "int64",
  uint8: "int64",
  bool: "bool",
};

function float32Values(dtype: FileDType, buffer: ArrayBuffer): Float32Array {
  if (dtype === "float32") return new Float32Array(buffer);
  if (dtype === "float64") return Float32Array.from(new Float64Array(buffer));
  const halves = new Uint16Array(buffer);
  const words = new Uint32Array(halves.length);
  const expand = dtype === "bfloat16" ? (half: number) => half << 16 : float16Word;
  for (let i = 0; i < halves.length; i++) words[i] = expand(halves[i]!);
  return new Float32Array(words.buffer);
}

/** The float32 bits of a float16 (IEEE 754 binary16): every value is exact, NaN keeps its payload. */
function float16Word(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: shift the leading one out of the fraction; it weighs 2^-14 at bit 10.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function int64Values(dtype: FileDType, buffer: ArrayBuffer, name: string): BigInt64Array {
  if (dtype === "uint64") {
    const wrong = new BigUint64Array(buffer).findIndex((value) => value >= 1n << 63n);
    if (wrong >= 0) throw new FormatError(`${name}: element ${wrong} of uint64 does not fit int64`);
  }
  if (dtype === "int64" || dtype === "uint64") return new BigInt64Array(buffer);
  const values = smallIntegers(dtype, buffer);
  const out = new BigInt64Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = BigInt(values[i]!);
  return out;
}

function smallIntegers(dtype: FileDType, buffer: ArrayBuffer): ArrayLike<number> {
  switch (dtype) {
    case "int32":
      return new Int32Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    case "uint32":
      return new Uint32Array(buffer);
    case "uint16":
      return new Uint16Array(buffer);
    default:
      return new Uint8Array(buffer);
  }
}
