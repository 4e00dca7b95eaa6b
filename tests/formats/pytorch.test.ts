import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { type FileTensor, fileBytesPerElement } from "../../src/formats/file-tensor.js";
import { opcodes as op } from "../../src/formats/pickle-opcodes.js";
import { type ReadPyTorchOptions, readPyTorch } from "../../src/formats/pytorch.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { checkpoint, fixture } from "./checkpoints.js";
import {
  call,
  dict,
  global,
  integer,
  list,
  little,
  pickle,
  storage,
  tensor,
  text,
  tuple,
} from "./pickles.js";
import { zipFile } from "./zip.js";

function refusal(bytes: Uint8Array, options?: ReadPyTorchOptions): string {
  try {
    readPyTorch(bytes, options);
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
  throw new Error("the file was read");
}

/** Tensors as plain data, sorted by name. */
function plain(tensors: ReadonlyMap<string, FileTensor>) {
  return [...tensors]
    .map(([name, { dtype, shape, data }]) => ({ name, dtype, shape: [...shape], data: [...data] }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function expected(name: string) {
  return plain(readSafetensors(fixture(`${name}.safetensors`)).tensors);
}

const float32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const values = float32(0, 1, 2, 3, 4, 5);

describe("readPyTorch reads what PyTorch wrote:", () => {
  it.each([
    ["network", "network", "zip"],
    ["network", "network-no-crc", "zip"],
    ["network", "network-protocol3", "zip"],
    ["network", "network-protocol4", "zip"],
    ["network", "network-protocol5", "zip"],
    ["network", "network-legacy", "legacy"],
    ["views", "views", "zip"],
    ["views", "views-legacy", "legacy"],
    ["dtypes", "dtypes", "zip"],
    ["dtypes", "dtypes-legacy", "legacy"],
  ])("%s in %s.pth", (object, file, layout) => {
    const read = readPyTorch(fixture(`${file}.pth`));
    expect(read.layout).toBe(layout);
    expect(read.stateDict).toBeUndefined();
    expect(read.otherTensors.size).toBe(0);
    expect(plain(read.tensors)).toEqual(expected(object));
  });

  it("the order of the state dict", () => {
    expect([...readPyTorch(fixture("network.pth")).tensors.keys()].slice(0, 3)).toEqual([
      "conv_stem.weight",
      "bn1.weight",
      "bn1.bias",
    ]);
  });

  it("a training checkpoint: the state dict, the optimizer's tensors, plain values", () => {
    const { stateDict, tensors, otherTensors, values: rest } = readPyTorch(fixture("nested.pth"));
    expect(stateDict).toBe("state_dict");
    const all = new Map(otherTensors);
    for (const [name, tensor] of tensors) all.set(`state_dict.${name}`, tensor);
    expect(plain(all)).toEqual(expected("nested"));
    expect(otherTensors.has("optimizer.state.0.momentum_buffer")).toBe(true);
    expect(Object.fromEntries(rest)).toMatchObject({
      epoch: 3,
      arch: "résnet",
      best_acc: 0.1,
      seed: 2n ** 70n,
      digest: Uint8Array.of(0, 255, 127),
      "classes.0": "cat",
      "classes.1": "dog",
      done: false,
      note: null,
      "size.1": 5,
      dtype: "torch.float32",
      "optimizer.param_groups.0.lr": 0.1,
      "optimizer.param_groups.0.params.8": 8,
      "schedule.milestones.5": 1,
    });
    expect([rest.get("milestones.0"), rest.get("milestones.1")].sort()).toEqual([3, 5]);
  });

  it("contiguous tensors as views into the file, at any offset in a larger buffer", () => {
    for (const name of ["views.pth", "views-legacy.pth"]) {
      const file = fixture(name);
      const buffer = Buffer.concat([Buffer.alloc(3, 0x50), file, Buffer.alloc(7, 0x80)]);
      const { tensors } = readPyTorch(buffer.subarray(3, 3 + file.length));
      expect(plain(tensors)).toEqual(expected("views"));
      const [base, rows, transposed, annotated, again] = [
        "base",
        "rows",
        "transposed",
        "annotated",
        "again",
      ].map((key) => tensors.get(key)!.data);
      expect(base!.buffer).toBe(buffer.buffer);
      expect(rows!.byteOffset).toBe(base!.byteOffset + 24);
      expect(again!.byteOffset).toBe(annotated!.byteOffset);
      expect(transposed!.buffer).not.toBe(buffer.buffer);
    }
  });

  it("kernels of 1 x 1 as views too, in every tensor of a network", () => {
    for (const name of ["network.pth", "network-legacy.pth"]) {
      const file = fixture(name);
      for (const [key, { data }] of readPyTorch(file).tensors)
        expect(data.buffer === file.buffer, key).toBe(true);
    }
  });
});

describe("readPyTorch reads", () => {
  it("a tensor on its own, under the empty name", () => {
    const { tensors } = readPyTorch(checkpoint(pickle(tensor([3, 2], [1, 3], 6)), { 0: values }));
    expect([...tensors.keys()]).toEqual([""]);
    expect(tensors.get("")).toEqual({ dtype: "float32", shape: [3, 2], data: float32(0, 3, 1, 4, 2, 5) });
  });

  it("any stride of an axis of one element, and any place of a tensor without elements", () => {
    const bytes = pickle(
      dict({ a: tensor([1, 3, 1], [7, 2, 2 ** 53 - 1], 6), b: tensor([2, 0], [9, 9], 6, 99) }),
    );
    const { tensors } = readPyTorch(checkpoint(bytes, { 0: values }));
    expect(tensors.get("a")!.data).toEqual(float32(0, 2, 4));
    expect(tensors.get("b")).toEqual({ dtype: "float32", shape: [2, 0], data: new Uint8Array() });
  });

  it("big-endian values", () => {
    const order = { name: "archive/byteorder", data: new TextEncoder().encode("big") };
    const swapped = new Uint8Array(24);
    [0, 1, 2, 3, 4, 5].forEach((value) => {
      new DataView(swapped.buffer).setFloat32(4 * value, value);
    });
    const bytes = pickle(dict({ dense: tensor([6], [1], 6), every: tensor([2], [3], 6, 1) }));
    const { tensors } = readPyTorch(checkpoint(bytes, { 0: swapped }, [order]));
    expect(tensors.get("dense")!.data).toEqual(values);
    expect(tensors.get("every")!.data).toEqual(float32(1, 4));
  });

  it("deflated members", () => {
    const { bytes } = zipFile([
      { name: "x/data.pkl", data: pickle(dict({ w: tensor([6], [1], 6) })), deflate: true },
      { name: "x/data/0", data: values, deflate: true },
    ]);
    expect(readPyTorch(bytes).tensors.get("w")!.data).toEqual(values);
  });

  it("the tensors and storages of PyTorch before 0.4", () => {
    const id = tuple(
      text("storage"),
      global("torch.cuda", "HalfStorage"),
      text("0"),
      text("cuda:0"),
      integer(2),
      op.NONE,
    );
    const old = call(
      "torch._utils",
      "_rebuild_tensor",
      [id, op.BINPERSID],
      integer(0),
      tuple(integer(2)),
      tuple(integer(1)),
    );
    const { tensors } = readPyTorch(checkpoint(pickle(dict({ w: old })), { 0: Uint8Array.of(1, 2, 3, 4) }));
    expect(tensors.get("w")).toEqual({ dtype: "float16", shape: [2], data: Uint8Array.of(1, 2, 3, 4) });
  });

  it("the state dict that is asked for", () => {
    const parts = {
      model: dict({ w: tensor([2], [1], 6) }),
      ema: dict({ w: tensor([2], [1], 6, 2) }),
      step: integer(1),
    };
    const bytes = checkpoint(pickle(dict(parts)), { 0: values });
    expect(readPyTorch(bytes).stateDict).toBe("model");
    const ema = readPyTorch(bytes, { stateDict: "ema" });
    expect(ema.tensors.get("w")!.data).toEqual(float32(2, 3));
    expect([...ema.otherTensors.keys()]).toEqual(["model.w"]);
    expect([...ema.values]).toEqual([["step", 1]]);
    expect(refusal(bytes, { stateDict: "best", source: "x.pt" })).toBe(
      'x.pt: no state dict "best"; the file\'s object holds "model", "ema"',
    );
  });

  it.each([
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
  ])("the state dict under %s", (key) => {
    const parts = { step: integer(1), [key]: dict({ w: tensor([2], [1], 6) }) };
    const read = readPyTorch(checkpoint(pickle(dict(parts)), { 0: values }));
    expect([read.stateDict, [...read.tensors.keys()]]).toEqual([key, ["w"]]);
  });

  it("nested state dicts, lists and keys that are no text, by their path", () => {
    const nested = dict({
      encoder: dict({ w: tensor([1], [1], 6) }),
      heads: list(tensor([1], [1], 6, 1), tuple(op.NONE)),
      flags: [op.EMPTY_DICT, op.NEWTRUE, op.NONE, op.SETITEM, op.NONE, op.NEWFALSE, op.SETITEM],
      "": op.NONE,
    });
    const read = readPyTorch(checkpoint(pickle(nested), { 0: values }));
    expect([...read.tensors.keys()]).toEqual(["encoder.w", "heads.0"]);
    expect([...read.values]).toEqual([
      ["heads.1.0", null],
      ["flags.True", null],
      ["flags.None", false],
      ["", null],
    ]);
  });
});

describe("readPyTorch refuses", () => {
  it.each(["malicious.pth", "malicious-legacy.pth"])("%s, naming what it would have called", (name) => {
    const message = refusal(fixture(name), { source: name });
    expect(message.startsWith(name)).toBe(true);
    expect(message).toMatch(/offset \d+: refers to "(posix|nt).system"/);
  });

  it("every truncation of both layouts", () => {
    for (const name of ["network.pth", "network-legacy.pth"]) {
      const file = fixture(name);
      for (let length = 0; length < file.length; length++) refusal(file.subarray(0, length));
    }
  });

  it.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(), "starts with nothing"],
    [
      "other files",
      new TextEncoder().encode("version https://git-lfs"),
      "starts with 76 65 72 73 69 6f 6e 20",
    ],
    [
      "zips without a pickle",
      zipFile([{ name: "a/model.json", data: values }]).bytes,
      "with 0 members FOLDER/data.pkl",
    ],
    [
      "zips with two",
      zipFile(["a", "b"].map((name) => ({ name: `${name}/data.pkl`, data: pickle(op.NONE) }))).bytes,
      "with 2 members FOLDER/data.pkl",
    ],
    [
      "TorchScript",
      checkpoint(pickle(op.NONE), {}, [{ name: "archive/constants.pkl", data: pickle(op.NONE) }]),
      "a TorchScript archive",
    ],
    [
      "unknown byte orders",
      checkpoint(pickle(op.NONE), {}, [
        { name: "archive/byteorder", data: new TextEncoder().encode("middle") },
      ]),
      'byte order "middle"',
    ],
    [
      "long byte orders",
      checkpoint(pickle(op.NONE), {}, [{ name: "archive/byteorder", data: new Uint8Array(1000) }]),
      'byte order "too long"',
    ],
    [
      "bytes behind the pickle",
      checkpoint(Uint8Array.of(...pickle(op.NONE), 0)),
      "bytes follow the pickle's end",
    ],
    [
      "a function among the values",
      checkpoint(pickle(dict({ a: global("torch", "Size") }))),
      'a function at "a"',
    ],
  ])("%s", (_, bytes, message) => {
    expect(refusal(bytes)).toContain(message);
  });

  const w = (part: Parameters<typeof pickle>[0]) => pickle(dict({ w: part }));
  const rebuild = (...args: Parameters<typeof pickle>) => call("torch._utils", "_rebuild_tensor_v2", ...args);
  const persistent = (...id: Parameters<typeof pickle>) => [tuple(...id), op.BINPERSID];
  const sizes = (...numbers: number[]) => tuple(...numbers.map(integer));
  const float = global("torch", "FloatStorage");

  it.each<[string, Uint8Array, string]>([
    ["a size beyond the storage", w(tensor([7], [1], 6)), "reaches beyond its storage of 6 elements"],
    ["an offset beyond the storage", w(tensor([1], [1], 6, 6)), "reaches beyond its storage"],
    ["strides beyond the storage", w(tensor([2, 2], [5, 1], 6)), "reaches beyond its storage"],
    [
      "a product beyond 2^53",
      w(tensor([2 ** 40, 2 ** 40], [2 ** 40, 2 ** 40], 6)),
      "reaches beyond its storage",
    ],
    [
      "an expansion to more than 2^53 bytes",
      w(tensor([2 ** 30, 2 ** 30], [0, 0], 6)),
      "too large to count its bytes",
    ],
    [
      "an expansion to terabytes",
      w(tensor([2 ** 20, 2 ** 20], [0, 0], 6)),
      'tensor "w" takes 4398046511104 bytes',
    ],
    ["a negative size", w(tensor([-1], [1], 6)), "a tensor of size (-1)"],
    ["a negative stride", w(tensor([2], [-1], 6, 3)), "stride (-1)"],
    ["a negative offset", w(tensor([2], [1], 6, -1)), "offset -1"],
    ["sizes and strides of other ranks", w(tensor([2, 2], [1], 6)), "size (2,2), stride (1)"],
    ["sizes of text", w(rebuild(storage("0", 6), integer(0), tuple(text("2")), sizes(1))), 'size ("2")'],
    [
      "sizes that are no tuple",
      w(rebuild(storage("0", 6), integer(0), integer(2), sizes(1))),
      "sizes that are a number",
    ],
    ["missing arguments", w(rebuild(storage("0", 6))), "sizes that are None"],
    [
      "a tensor without storage",
      w(rebuild(op.NONE, integer(0), sizes(2), sizes(1))),
      "a tensor of None without dtype",
    ],
    [
      "an untyped storage without dtype",
      w(
        rebuild(
          persistent(
            text("storage"),
            global("torch.storage", "UntypedStorage"),
            text("0"),
            text("cpu"),
            integer(24),
          ),
          integer(0),
          sizes(2),
          sizes(1),
        ),
      ),
      "without dtype",
    ],
    [
      "conjugated tensors",
      w(
        rebuild(
          storage("0", 6),
          integer(0),
          sizes(2),
          sizes(1),
          op.NEWFALSE,
          op.NONE,
          dict({ neg: op.NEWTRUE }),
        ),
      ),
      "negation or conjugation",
    ],
    ["a parameter of nothing", w(call("torch._utils", "_rebuild_parameter", op.NONE)), "a parameter of None"],
    [
      "complex tensors",
      w(persistent(text("storage"), global("torch", "ComplexFloatStorage"))),
      'refers to "torch.ComplexFloatStorage"',
    ],
    [
      "sparse tensors",
      w(call("torch._utils", "_rebuild_sparse_tensor")),
      'refers to "torch._utils._rebuild_sparse_tensor"',
    ],
    ["ids of other things", w(persistent(text("module"))), "a persistent id that is no storage"],
    ["ids that are text", w([text("storage"), op.BINPERSID]), "a persistent id that is no storage"],
    [
      "storages of other types",
      w(persistent(text("storage"), text("Float"), text("0"), text("cpu"), integer(6))),
      "a storage whose type is text",
    ],
    [
      "storages with a number as key",
      w(persistent(text("storage"), float, integer(0), text("cpu"), integer(6))),
      "whose key is a number",
    ],
    ["storages of negative size", w(storage("0", -6)), "number of elements is -6"],
    ["storages of 2^53 elements", w(storage("0", 2 ** 53 - 1)), "number of elements is 9007199254740991"],
    [
      "storages inside others",
      w(persistent(text("storage"), float, text("0"), text("cpu"), integer(6), sizes(1))),
      "a storage inside another",
    ],
    ["storages that are no tensor", w(storage("0", 6)), 'a storage at "w"'],
    [
      "missing storages",
      w(rebuild(storage("1", 6), integer(0), sizes(2), sizes(1))),
      'storage "1" is missing',
    ],
    [
      "storages shorter than they say",
      w(tensor([2], [1], 7)),
      'storage "0" has 24 bytes; its tensors need 28',
    ],
    [
      "storages longer than they say",
      w(tensor([2], [1], 5)),
      'storage "0" has 24 bytes; its tensors need 20',
    ],
  ])("%s", (_, bytes, message) => {
    expect(refusal(checkpoint(bytes, { 0: values }))).toContain(message);
  });

  it("two values at one path", () => {
    const twice = pickle(dict({ "a.b": op.NONE, a: dict({ b: op.NONE }) }));
    expect(refusal(checkpoint(twice))).toContain('two values at "a.b"');
  });

  it("containers inside themselves, and nesting that is too deep", () => {
    const self = pickle(op.EMPTY_LIST, op.BINPUT, 0, op.BINGET, 0, op.APPEND);
    expect(refusal(checkpoint(self))).toContain("nesting deeper than 64, or a container inside itself");
    const deep = pickle(op.EMPTY_TUPLE, new Uint8Array(100).fill(op.TUPLE1));
    expect(refusal(checkpoint(deep))).toContain("nesting deeper than 64");
  });

  it("a billion leaves in a few bytes, and paths of gigabytes", () => {
    const laughs = pickle(
      op.NONE,
      Array.from({ length: 30 }, () => [op.DUP, op.TUPLE2]),
    );
    expect(refusal(checkpoint(laughs))).toContain("more than 262144 values and containers");
    const key = text("k".repeat(1_000_000));
    const long = pickle(op.EMPTY_DICT, key, list(new Uint8Array(1000).fill(op.NONE)), op.SETITEM);
    expect(refusal(checkpoint(long))).toContain("paths of more than 16777216 characters");
  });

  it("many copies of one view", () => {
    const repeated = [tensor([1000, 1000], [0, 0], 6), op.TUPLE1];
    expect(readPyTorch(checkpoint(pickle(repeated), { 0: values })).tensors.get("0")!.data.length).toBe(
      4_000_000,
    );
    const many = list(...Array.from({ length: 5 }, () => tensor([1000, 1000], [0, 0], 6)));
    expect(refusal(checkpoint(pickle(many), { 0: values }))).toMatch(
      /tensor "4" takes 4000000 bytes; \d+ are left/,
    );
  });
});

describe("readPyTorch refuses, of the legacy layout,", () => {
  const magic = pickle(op.LONG1, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19);
  const version = pickle(op.BININT2, 0xe9, 3);
  const machine = pickle(dict({ little_endian: op.NEWTRUE }));
  const object = pickle(dict({ w: tensor([6], [1], 6) }));
  const keys = pickle(list(text("0")));
  const stored = [Uint8Array.from(little(8, 6)), values];
  const whole = [magic, version, machine, object, keys, ...stored];
  const legacy = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

  it("nothing of a whole file", () => {
    expect(readPyTorch(legacy(...whole)).tensors.get("w")!.data).toEqual(values);
  });

  it.each<[string, Uint8Array, string]>([
    ["other pickles", pickle(op.NONE), "its magic number is missing"],
    ["other versions", legacy(magic, pickle(op.BININT1, 1)), "legacy protocol 1; 1001 is read"],
    [
      "big-endian machines",
      legacy(magic, version, pickle(dict({ little_endian: op.NEWFALSE }))),
      "little-endian machine",
    ],
    ["machines that are no dictionary", legacy(magic, version, pickle(op.NONE)), "little-endian machine"],
    [
      "keys that are no list",
      legacy(magic, version, machine, object, pickle(op.NONE)),
      "the storages' keys are None",
    ],
    [
      "keys that are no text",
      legacy(magic, version, machine, object, pickle(list(op.NONE)), ...stored),
      "a storage None that no tensor has",
    ],
    [
      "storages without tensor",
      legacy(magic, version, machine, object, pickle(list(text("1"))), ...stored),
      'a storage "1" that no tensor has',
    ],
    [
      "storages that occur twice",
      legacy(magic, version, machine, object, pickle(list(text("0"), text("0"))), ...stored, ...stored),
      "occurs twice",
    ],
    [
      "storages that are missing",
      legacy(magic, version, machine, object, pickle(list())),
      'storage "0" is missing',
    ],
    [
      "other numbers of elements",
      legacy(magic, version, machine, object, keys, Uint8Array.from(little(8, 7)), values),
      "has 7 elements; its tensors need 6",
    ],
    [
      "negative numbers of elements",
      legacy(magic, version, machine, object, keys, new Uint8Array(8).fill(255), values),
      "has -1 elements",
    ],
    [
      "truncated storages",
      legacy(magic, version, machine, object, keys, stored[0]!, values.subarray(1)),
      "reaches beyond the end: truncated",
    ],
    ["bytes behind the storages", legacy(...whole, Uint8Array.of(0)), "1 bytes follow the last storage"],
    [
      "a storage of two sizes",
      legacy(
        magic,
        version,
        machine,
        pickle(list(tensor([1], [1], 6), tensor([1], [1], 5))),
        keys,
        ...stored,
      ),
      'storage "0" is described in two ways',
    ],
  ])("%s", (_, bytes, message) => {
    expect(refusal(bytes)).toContain(message);
  });
});

it("knows the size of every dtype", () => {
  const { tensors } = readPyTorch(fixture("dtypes.pth"));
  expect([...tensors.keys()].sort()).toEqual(Object.keys(fileBytesPerElement).sort());
  for (const [name, { dtype, shape, data }] of tensors) {
    expect(dtype).toBe(name);
    expect(data.length).toBe(shape[0]! * fileBytesPerElement[dtype]);
  }
});
