import { elementCount } from "../base/dtype.js";
import { type FileDType, fileBytesPerElement } from "./file-tensor.js";
import {
  type CallContext,
  describe,
  kindOf,
  type PickleDict,
  PickleFunction,
  type PickleKey,
  PickleObject,
  type PickleValue,
} from "./pickle.js";

/** `torch.float32` and its like. */
export class TorchDType extends PickleObject {
  readonly kind = "a dtype";
  readonly dtype: FileDType;

  constructor(dtype: FileDType) {
    super();
    this.dtype = dtype;
  }
}

/** `torch.FloatStorage` and its like; an untyped storage counts bytes. */
class StorageType extends PickleObject {
  readonly kind = "a storage type";
  readonly dtype: FileDType | "untyped";

  constructor(dtype: FileDType | "untyped") {
    super();
    this.dtype = dtype;
  }
}

/** Memory that tensors share: its values lie elsewhere in the file, under `key`. */
export class TorchStorage extends PickleObject {
  readonly kind = "a storage";
  readonly key: string;
  readonly dtype: FileDType | "untyped";
  readonly elements: number;

  constructor(key: string, dtype: FileDType | "untyped", elements: number) {
    super();
    this.key = key;
    this.dtype = dtype;
    this.elements = elements;
  }

  get byteLength(): number {
    return this.elements * (this.dtype === "untyped" ? 1 : fileBytesPerElement[this.dtype]);
  }
}

/** A view of a storage that lies inside it; offset and strides count elements. */
export class TorchTensor extends PickleObject {
  readonly kind = "a tensor";
  readonly storage: TorchStorage;
  readonly dtype: FileDType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(view: Pick<TorchTensor, "storage" | "dtype" | "offset" | "shape" | "strides">) {
    super();
    this.storage = view.storage;
    this.dtype = view.dtype;
    this.offset = view.offset;
    this.shape = view.shape;
    this.strides = view.strides;
  }
}

/** PyTorch's own bound. */
const maxRank = 64;

const storageTypes: Readonly<Record<string, FileDType>> = {
  DoubleStorage: "float64",
  FloatStorage: "float32",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  LongStorage: "int64",
  IntStorage: "int32",
  ShortStorage: "int16",
  CharStorage: "int8",
  ByteStorage: "uint8",
  BoolStorage: "bool",
};
const dtypes = Object.keys(fileBytesPerElement) as FileDType[];

/**
 * The globals that rebuild weights, by `module name`: tensors, their storages and dtypes, and containers. Each function
 * here is ours; none runs what a file names.
 */
export const torchGlobals: ReadonlyMap<string, PickleObject> = new Map<string, PickleObject>([
  ["torch._utils _rebuild_tensor", new PickleFunction(rebuildTensor)],
  ["torch._utils _rebuild_tensor_v2", new PickleFunction(rebuildTensor)],
  ["torch._utils _rebuild_tensor_v3", new PickleFunction(rebuildUntypedTensor)],
  ["torch._utils _rebuild_parameter", new PickleFunction(rebuildParameter)],
  ["torch._utils _rebuild_parameter_with_state", new PickleFunction(rebuildParameter)],
  ["torch Size", new PickleFunction(([sizes], { fault }) => Object.freeze([...rankBound(sizes, fault)]))],
  // `torch.cuda` is where PyTorch before 0.4 had them.
  ...["torch", "torch.cuda"].flatMap((module) =>
    Object.entries(storageTypes).map(
      ([name, dtype]) => [`${module} ${name}`, new StorageType(dtype)] as [string, PickleObject],
    ),
  ),
  ["torch.storage UntypedStorage", new StorageType("untyped")],
  ...dtypes.map((dtype) => [`torch ${dtype}`, new TorchDType(dtype)] as [string, PickleObject]),
  ["collections OrderedDict", new PickleFunction(dictionary)],
  ["collections Counter", new PickleFunction(dictionary)],
  ["__builtin__ set", new PickleFunction(copiedList)],
  ["builtins set", new PickleFunction(copiedList)],
  ["_codecs encode", new PickleFunction(latin1Bytes)],
]);

/** Resolves `("storage", type, key, location, elements)`, a storage's persistent id in both layouts. */
export function torchStorage(id: PickleValue, { fault }: CallContext): TorchStorage {
  if (!Array.isArray(id) || id[0] !== "storage") throw fault("a persistent id that is no storage");
  const [, type, key, , elements, view = null] = id as readonly PickleValue[];
  if (!(type instanceof StorageType)) throw fault(`a storage whose type is ${kindOf(type ?? null)}`);
  if (typeof key !== "string") throw fault(`a storage whose key is ${kindOf(key ?? null)}`);
  if (view !== null) throw fault("a storage inside another one, as PyTorch before 0.4 wrote");
  const storage = isSize(elements) ? new TorchStorage(key, type.dtype, elements) : undefined;
  if (!Number.isSafeInteger(storage?.byteLength)) {
    throw fault(`a storage whose number of elements is ${describe(elements)}`);
  }
  return storage!;
}

/** `(storage, offset, size, stride, requires_grad, backward_hooks, metadata)`; all but the first four may be absent. */
function rebuildTensor(args: readonly PickleValue[], { fault }: CallContext): PickleValue {
  const [storage, offset, shape, strides, , , metadata] = args;
  if (!(storage instanceof TorchStorage) || storage.dtype === "untyped") {
    throw fault(`a tensor of ${kindOf(storage ?? null)} without dtype`);
  }
  return tensorView(storage, storage.dtype, [offset, shape, strides, metadata], fault);
}

/** `(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata)`. */
function rebuildUntypedTensor(args: readonly PickleValue[], { fault }: CallContext): PickleValue {
  const [storage, offset, shape, strides, , , type, metadata] = args;
  if (!(storage instanceof TorchStorage) || storage.dtype !== "untyped" || !(type instanceof TorchDType)) {
    throw fault(`a tensor of ${kindOf(storage ?? null)} and ${kindOf(type ?? null)}`);
  }
  return tensorView(storage, type.dtype, [offset, shape, strides, metadata], fault);
}

function tensorView(
  storage: TorchStorage,
  dtype: FileDType,
  [offset, sizes, steps, metadata]: readonly (PickleValue | undefined)[],
  fault: CallContext["fault"],
): TorchTensor {
  // Copies: a list could still be changed by what follows in the pickle.
  const shape = [...rankBound(sizes, fault)];
  const strides = [...rankBound(steps, fault)];
  if (!isSize(offset) || !shape.every(isSize) || !strides.every(isSize) || shape.length !== strides.length) {
    throw fault(
      `a tensor of size (${shape.map(describe)}), stride (${strides.map(describe)}), offset ${describe(offset)}`,
    );
  }
  if (metadata instanceof Map ? metadata.size > 0 : metadata != null) {
    throw fault("a tensor whose negation or conjugation is still to be done");
  }
  const elements = Math.floor(storage.byteLength / fileBytesPerElement[dtype]);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  // A tensor without elements reads nothing, wherever it points to.
  if (!shape.includes(0) && !(last < elements)) {
    throw fault(
      `a tensor of size (${shape}), stride (${strides}), offset ${offset} reaches beyond its storage of ${elements} elements`,
    );
  }
  if (!Number.isSafeInteger(elementCount(shape) * fileBytesPerElement[dtype])) {
    throw fault(`a tensor of size (${shape}) is too large to count its bytes`);
  }
  // The stride of a single element is never taken, so it may be anything.
  const taken = strides.map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
  return new TorchTensor({ storage, dtype, offset, shape, strides: taken });
}

/** `(data, requires_grad, backward_hooks)`, then the attributes of one that has some. */
function rebuildParameter([data]: readonly PickleValue[], { fault }: CallContext): PickleValue {
  if (!(data instanceof TorchTensor)) throw fault(`a parameter of ${kindOf(data ?? null)}`);
  return data;
}

/** `OrderedDict()`, `OrderedDict([[key, value], ...])`, `Counter({...})`. */
function dictionary(args: readonly PickleValue[], { fault, spend }: CallContext): PickleValue {
  const [items = []] = args;
  const dict: PickleDict = new Map();
  if (items instanceof Map) {
    spend(items.size);
    for (const [key, value] of items) dict.set(key, value);
    return dict;
  }
  if (!Array.isArray(items)) throw fault(`a dictionary of ${kindOf(items)}`);
  spend(items.length);
  for (const pair of items as readonly PickleValue[]) {
    const [key, value] = Array.isArray(pair) && pair.length === 2 ? (pair as readonly PickleValue[]) : [];
    if (value === undefined || (key !== null && typeof key === "object")) {
      throw fault("a dictionary of other things than pairs of a simple key and a value");
    }
    dict.set(key as PickleKey, value);
  }
  return dict;
}

function copiedList([items = []]: readonly PickleValue[], { fault, spend }: CallContext): PickleValue {
  if (!Array.isArray(items)) throw fault(`a set of ${kindOf(items)}`);
  spend(items.length);
  return [...(items as readonly PickleValue[])];
}

/** Bytes in a protocol that has none: `(text, "latin1")`. */
function latin1Bytes([text, encoding]: readonly PickleValue[], { fault, spend }: CallContext): PickleValue {
  if (typeof text !== "string" || encoding !== "latin1") throw fault("text in an encoding other than latin1");
  spend(text.length);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) throw fault("text that is not latin1");
    bytes[i] = code;
  }
  return bytes;
}

function rankBound(sizes: PickleValue | undefined, fault: CallContext["fault"]): readonly PickleValue[] {
  if (!Array.isArray(sizes)) throw fault(`sizes that are ${kindOf(sizes ?? null)}`);
  if (sizes.length > maxRank) throw fault(`${sizes.length} dimensions; at most ${maxRank} are read`);
  return sizes as readonly PickleValue[];
}

function isSize(value: PickleValue | undefined): value is number {
  return Number.isSafeInteger(value) && Object.is(Math.abs(value as number), value);
}
