import { FormatError } from "../base/errors.js";
import { quote } from "../base/quote.js";
import { Allowance } from "./allowance.js";
import type { FileTensor } from "./file-tensor.js";
import { type CheckpointValue, type Leaves, leavesOf } from "./flatten.js";
import { describe, kindOf, type PickleValue, readPickle } from "./pickle.js";
import { type TorchStorage, TorchTensor, torchGlobals, torchStorage } from "./torch-objects.js";
import { type StorageBytes, TensorReader } from "./torch-tensors.js";
import { readZip, type ZipEntry } from "./zip.js";

/** What a file of `torch.save` holds. */
export interface PyTorchCheckpoint {
  /** `zip` since PyTorch 1.6, `legacy` before. */
  readonly layout: "zip" | "legacy";
  /** The key of the saved object under which the state dict was found; undefined where the object is one itself. */
  readonly stateDict: string | undefined;
  /** The tensors of the state dict, by their key in it. Contiguous ones are views into the file's bytes. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** Tensors elsewhere in the object, such as the optimizer's, by path. */
  readonly otherTensors: ReadonlyMap<string, FileTensor>;
  /** Everything that is no tensor, such as the epoch, by path. */
  readonly values: ReadonlyMap<string, CheckpointValue>;
}

export interface ReadPyTorchOptions {
  /** Shown in errors, such as the file's name. */
  readonly source?: string;
  /** The key of the state dict to be read where there are several, such as `state_dict_ema`. */
  readonly stateDict?: string;
}

/** Under which keys training scripts keep the state dict; the first that holds tensors is taken. */
const stateDictKeys = [
  "state_dict",
  "model_state_dict",
  "model_state",
  "model",
  "net",
  "network",
  "module",
  "params",
  "weights",
  "ema",
  "model_ema",
  "state_dict_ema",
];

/**
 * Reads a PyTorch checkpoint (`.pth`, `.pt`): what `torch.save` writes of tensors and containers, in the zip layout and
 * in the legacy one. Nothing is run: a file that refers to anything but what rebuilds weights is refused, by name.
 *
 * The state dict is the dictionary under the first of the keys `state_dict`, `model_state_dict`, `model_state`, `model`,
 * `net`, `network`, `module`, `params`, `weights`, `ema`, `model_ema`, `state_dict_ema` that directly holds tensors, else
 * the saved object itself. Keys of nested containers are joined by dots (`optimizer.state.0.momentum_buffer`): keys of the
 * state dict count from there, those of other tensors and values from the object.
 *
 * Sources: torch/serialization.py and torch/_utils.py of PyTorch 2; checksums of zip members are compared unless the
 * file has none.
 * @throws FormatError for anything else than such a file, naming the offset, the member or the tensor
 */
export function readPyTorch(bytes: Uint8Array, options: ReadPyTorchOptions = {}): PyTorchCheckpoint {
  const source = options.source ?? "PyTorch checkpoint";
  const allowance = new Allowance(bytes.byteLength, source);
  // A plain view: a Node.js Buffer's slice would share memory where a Uint8Array's copies.
  const file = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const layout = layoutOf(file, source);
  const { root, storages } =
    layout === "zip" ? readZipLayout(file, source, allowance) : readLegacy(file, source);
  const fault = (problem: string) => new FormatError(`${source}: ${problem}`);

  const stateDict = stateDictKey(root, options.stateDict, fault);
  const reader = new TensorReader(storages, allowance);
  const dense = ({ tensors }: Leaves) =>
    new Map([...tensors].map(([name, tensor]) => [name, reader.read(tensor, name)]));
  if (stateDict === undefined) {
    const all = leavesOf(root, fault);
    return { layout, stateDict, tensors: dense(all), otherTensors: new Map(), values: all.values };
  }
  const found = leavesOf((root as ReadonlyMap<unknown, PickleValue>).get(stateDict)!, fault);
  const rest = leavesOf(root, fault, "", stateDict);
  const values = new Map(rest.values);
  for (const [name, value] of found.values) values.set(`${stateDict}.${name}`, value);
  return { layout, stateDict, tensors: dense(found), otherTensors: dense(rest), values };
}

/** What a layout gives: the object, and where its tensors' values are. */
interface Saved {
  readonly root: PickleValue;
  readonly storages: StorageBytes;
}

function layoutOf(file: Uint8Array, source: string): "zip" | "legacy" {
  if (file[0] === 0x50 && file[1] === 0x4b) return "zip";
  if (file[0] === 0x80) return "legacy";
  const start = Array.from(file.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  throw new FormatError(
    `${source}: starts with ${start === "" ? "nothing" : start}; a PyTorch checkpoint is a zip archive or a pickle`,
  );
}

function stateDictKey(
  root: PickleValue,
  asked: string | undefined,
  fault: (problem: string) => FormatError,
): string | undefined {
  const parts = root instanceof Map ? root : new Map<string, PickleValue>();
  if (asked !== undefined) {
    if (parts.get(asked) instanceof Map) return asked;
    const dicts = [...parts].filter(([, part]) => part instanceof Map).map(([key]) => quote(String(key)));
    const found = dicts.length > 0 ? dicts.join(", ") : "no dictionaries";
    throw fault(`no state dict ${quote(asked)}; the file's object holds ${found}`);
  }
  return stateDictKeys.find((key) => {
    const part = parts.get(key);
    return part instanceof Map && [...part.values()].some((value) => value instanceof TorchTensor);
  });
}

// --- the zip layout: NAME/data.pkl, NAME/data/KEY, NAME/byteorder

function readZipLayout(file: Uint8Array, source: string, allowance: Allowance): Saved {
  const entries = readZip(file, { source, allowance });
  const fault = (problem: string) => new FormatError(`${source}: ${problem}`);
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    throw fault(`a zip archive with ${pickles.length} members FOLDER/data.pkl; a PyTorch checkpoint has one`);
  }
  const folder = pickle.slice(0, -"data.pkl".length);
  if (entries.has(`${folder}constants.pkl`)) {
    throw fault(
      "a TorchScript archive, which holds code; torch.save(model.state_dict(), path) writes weights alone",
    );
  }
  const { value: root, end } = readPickle(entries.get(pickle)!.read(), {
    globals: torchGlobals,
    persistentLoad: torchStorage,
    fault: (offset, problem) => fault(`${pickle} at offset ${offset}: ${problem}`),
  });
  if (end !== entries.get(pickle)!.size) throw fault(`${pickle}: bytes follow the pickle's end at ${end}`);
  const order = byteOrder(entries.get(`${folder}byteorder`), fault);
  const read = new Map<string, Uint8Array>();
  const bytes = ({ key, byteLength }: TorchStorage) => {
    const entry = entries.get(`${folder}data/${key}`);
    if (!entry) throw fault(`storage ${describe(key)} is missing`);
    if (entry.size !== byteLength) {
      throw fault(`storage ${describe(key)} has ${entry.size} bytes; its tensors need ${byteLength}`);
    }
    const content = read.get(key) ?? entry.read();
    read.set(key, content);
    return content;
  };
  return { root, storages: { bytes, bigEndian: order === "big" } };
}

/** PyTorch before 2.1 did not write it, on little-endian machines. */
function byteOrder(entry: ZipEntry | undefined, fault: (problem: string) => FormatError): string {
  if (!entry) return "little";
  const order = entry.size <= 8 ? new TextDecoder().decode(entry.read()) : "too long";
  if (order !== "little" && order !== "big")
    throw fault(`byte order ${JSON.stringify(order)}; it is little or big`);
  return order;
}

// --- the legacy layout: pickles of a magic number, the version, the machine, the object, and the storages' keys; then
// each storage, its number of elements first

const legacyMagic = 0x1950a86a20f9469cfc6cn;
const legacyVersion = 1001;

function readLegacy(file: Uint8Array, source: string): Saved {
  const described = new Map<string, TorchStorage>();
  let position = 0;
  const fault = (problem: string, at = position) => new FormatError(`${source} at offset ${at}: ${problem}`);
  const next = (): PickleValue => {
    const { value, end } = readPickle(file, {
      start: position,
      globals: torchGlobals,
      persistentLoad: (id, context) => {
        const storage = torchStorage(id, context);
        const known = described.get(storage.key);
        if (known && (known.dtype !== storage.dtype || known.byteLength !== storage.byteLength)) {
          throw context.fault(`storage ${JSON.stringify(storage.key)} is described in two ways`);
        }
        described.set(storage.key, storage);
        return storage;
      },
      fault: (offset, problem) => fault(problem, offset),
    });
    position = end;
    return value;
  };
  if (next() !== legacyMagic)
    throw fault("a pickle, but no PyTorch checkpoint: its magic number is missing", 0);
  const version = next();
  if (version !== legacyVersion)
    throw fault(`legacy protocol ${describe(version)}; ${legacyVersion} is read`);
  const machine = next();
  if (!(machine instanceof Map) || machine.get("little_endian") !== true) {
    throw fault("not written on a little-endian machine; save it again with PyTorch 1.6 or later");
  }
  const root = next();
  const keys = next();
  if (!Array.isArray(keys)) throw fault(`the storages' keys are ${kindOf(keys)}, not a list`);
  const contents = legacyStorages(file, position, keys, described, fault);
  const bytes = ({ key }: TorchStorage) => {
    const content = contents.get(key);
    if (!content) throw fault(`storage ${describe(key)} is missing`);
    return content;
  };
  return { root, storages: { bytes, bigEndian: false } };
}

function legacyStorages(
  file: Uint8Array,
  start: number,
  keys: readonly PickleValue[],
  described: ReadonlyMap<string, TorchStorage>,
  fault: (problem: string, at: number) => FormatError,
): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const contents = new Map<string, Uint8Array>();
  let at = start;
  for (const key of keys) {
    const storage = typeof key === "string" ? described.get(key) : undefined;
    if (!storage) throw fault(`a storage ${describe(key)} that no tensor has`, at);
    if (contents.has(storage.key)) throw fault(`storage ${describe(key)} occurs twice`, at);
    const from = at + 8;
    if (from + storage.byteLength > file.length) {
      throw fault(
        `storage ${describe(key)} of ${storage.byteLength} bytes reaches beyond the end: truncated`,
        at,
      );
    }
    const elements = Number(view.getBigInt64(at, true));
    if (elements !== storage.elements) {
      throw fault(
        `storage ${describe(key)} has ${elements} elements; its tensors need ${storage.elements}`,
        at,
      );
    }
    at = from + storage.byteLength;
    contents.set(storage.key, file.subarray(from, at));
  }
  if (at !== file.length) throw fault(`${file.length - at} bytes follow the last storage`, at);
  return contents;
}
