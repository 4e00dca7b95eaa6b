import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { FormatError, ShapeError } from "../../src/base/errors.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";

/** A file with the given header text (or value) and data. */
function file(header: unknown, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

function entry(dtype: unknown, shape: unknown, offsets: unknown) {
  return { dtype, shape, data_offsets: offsets };
}

function refusal(bytes: Uint8Array): FormatError {
  try {
    readSafetensors(bytes, { source: "model.safetensors" });
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("the file was read");
}

const float32 = fc.float({ noNaN: true });
const hostTensor: fc.Arbitrary<HostTensor> = fc
  .tuple(fc.array(fc.nat({ max: 3 }), { maxLength: 3 }), fc.constantFrom("float32", "int64", "bool" as const))
  .chain(([shape, dtype]): fc.Arbitrary<HostTensor> => {
    const length = shape.reduce((product, size) => product * size, 1);
    const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: length, maxLength: length });
    if (dtype === "float32") {
      return list(float32).map((values) => ({ dtype, shape, data: Float32Array.from(values) }) as const);
    }
    if (dtype === "int64") {
      return list(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map(
        (values) => ({ dtype, shape, data: BigInt64Array.from(values) }) as const,
      );
    }
    return list(fc.nat({ max: 1 })).map(
      (values) => ({ dtype: "bool", shape, data: Uint8Array.from(values) }) as const,
    );
  });
const tensorName = fc
  .oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom("__proto__", "constructor", "toString", "1", "0", 'a"b\\c\n'),
  )
  .filter((name) => name !== "__metadata__");
const metadata = fc.dictionary(tensorName, fc.string({ unit: "binary" }));
const tensors = fc.uniqueArray(fc.tuple(tensorName, hostTensor), {
  selector: ([name]) => name,
  maxLength: 6,
});

describe("round trip", () => {
  it("keeps names, dtypes, shapes, values and metadata", () => {
    fc.assert(
      fc.property(tensors, metadata, (written, notes) => {
        const read = readSafetensors(writeSafetensors(written, notes));
        expect(new Map(Object.entries(read.metadata))).toEqual(new Map(Object.entries(notes)));
        expect(read.tensors.size).toBe(written.length);
        for (const [name, tensor] of written) {
          expect(toHostTensor(read.tensors.get(name)!)).toEqual(tensor);
        }
      }),
    );
  });

  it("writes the same bytes whatever the order given", () => {
    fc.assert(
      fc.property(tensors, metadata, (written, notes) => {
        const reversed = Object.fromEntries(Object.entries(notes).reverse());
        expect(writeSafetensors([...written].reverse(), reversed)).toEqual(writeSafetensors(written, notes));
      }),
    );
  });

  it("writes bytes that read back and write again the same", () => {
    fc.assert(
      fc.property(tensors, metadata, (written, notes) => {
        const bytes = writeSafetensors(written, notes);
        const read = readSafetensors(bytes);
        expect(writeSafetensors(read.tensors, read.metadata)).toEqual(bytes);
      }),
    );
  });

  it("reads at any alignment, from a larger buffer", () => {
    const data = Float32Array.of(1, 2, 3);
    const bytes = writeSafetensors([["w", { dtype: "float32", shape: [3], data }]]);
    for (let offset = 0; offset < 8; offset++) {
      const buffer = Buffer.alloc(bytes.length + 20, 0xff);
      buffer.set(bytes, offset);
      const { tensors } = readSafetensors(buffer.subarray(offset, offset + bytes.length));
      expect(toHostTensor(tensors.get("w")!).data).toEqual(data);
    }
  });
});

describe("the bytes written", () => {
  const bytes = writeSafetensors(
    [
      ["mask", { dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) }],
      ["b", { dtype: "float32", shape: [], data: Float32Array.of(1) }],
      ["a", { dtype: "float32", shape: [2, 1], data: Float32Array.of(2, 3) }],
      ["d", { dtype: "float64", shape: [1], data: Float64Array.of(0.1) }],
    ],
    { z: "1", a: "ü" },
  );
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes));

  it("have the wide types first, then by name, and sorted metadata", () => {
    expect(header.trimEnd()).toBe(
      '{"__metadata__":{"a":"ü","z":"1"},"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},' +
        '"a":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},"b":{"dtype":"F32","shape":[],"data_offsets":[16,20]},' +
        '"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[20,23]}}',
    );
  });

  it("are aligned by spaces and end with the last tensor", () => {
    expect(headerBytes % 8).toBe(0);
    expect(header).toMatch(/\} {0,7}$/);
    expect(bytes.length).toBe(8 + headerBytes + 23);
    expect(new Float64Array(bytes.buffer, 8 + headerBytes, 1)[0]).toBe(0.1);
  });

  it("are a valid file without tensors too", () => {
    expect(readSafetensors(writeSafetensors([])).tensors.size).toBe(0);
  });

  it("keep float64 values", () => {
    const { dtype, data } = readSafetensors(bytes).tensors.get("d")!;
    expect(dtype).toBe("float64");
    expect(new Float64Array(new Uint8Array(data).buffer)[0]).toBe(0.1);
  });

  it("are refused for names taken or reserved and values that do not fit", () => {
    const scalar = { dtype: "float32", shape: [], data: Float32Array.of(1) } as const;
    expect(() =>
      writeSafetensors([
        ["a", scalar],
        ["a", scalar],
      ]),
    ).toThrow('"a" is used twice');
    expect(() => writeSafetensors([["__metadata__", scalar]])).toThrow(FormatError);
    expect(() => writeSafetensors([["a", { ...scalar, shape: [2] }]])).toThrow(ShapeError);
    expect(() => writeSafetensors([["a", { ...scalar, shape: [-1, -1] }]])).toThrow(ShapeError);
    expect(() => writeSafetensors([["a", { ...scalar, dtype: "float64" }]])).toThrow(ShapeError);
  });
});

describe("accepted", () => {
  it("zero-size tensors anywhere, tensors in any header order, trailing spaces", () => {
    const header = {
      second: entry("U8", [2], [1, 3]),
      none: entry("F32", [0, 3], [1, 1]),
      first: entry("U8", [1], [0, 1]),
      end: entry("F32", [4, 0], [3, 3]),
    };
    const { tensors, metadata } = readSafetensors(
      file(`${JSON.stringify(header)}   `, Uint8Array.of(5, 6, 7)),
    );
    expect([...tensors.keys()]).toEqual(["second", "none", "first", "end"]);
    expect([...tensors.get("second")!.data]).toEqual([6, 7]);
    expect(tensors.get("none")).toMatchObject({ shape: [0, 3] });
    expect(metadata).toEqual({});
  });

  it("names that objects treat specially", () => {
    const { tensors, metadata } = readSafetensors(
      file(
        '{"__metadata__":{"__proto__":"x","constructor":"y"},"__proto__":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
        Uint8Array.of(9),
      ),
    );
    expect(tensors.get("__proto__")!.data[0]).toBe(9);
    expect(Object.entries(metadata)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    expect(metadata.toString).toBeUndefined();
  });
});

describe("refused", () => {
  const data = new Uint8Array(8);
  const whole = entry("F32", [2], [0, 8]);

  it("a file shorter than its length field, or than its header", () => {
    for (let length = 0; length < 8; length++) {
      expect(refusal(new Uint8Array(length)).message).toBe(
        `model.safetensors: ${length} bytes; the header's length alone takes 8`,
      );
    }
    const bytes = file({ a: whole }, data);
    expect(refusal(bytes.subarray(0, 20)).message).toMatch(
      /header of \d+ bytes in a file of 20; it is truncated/,
    );
  });

  it("every truncation of a good file, and anything appended", () => {
    const bytes = writeSafetensors([["w", { dtype: "float32", shape: [2], data: Float32Array.of(1, 2) }]]);
    for (let length = 0; length < bytes.length; length++) refusal(bytes.subarray(0, length));
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect(refusal(longer).message).toMatch(/1 bytes after tensor "w", at offset \d+, belong to no tensor/);
  });

  it.each([100_000_001n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])(
    "a header of %d bytes, before it is read",
    (length) => {
      const bytes = file({});
      new DataView(bytes.buffer).setBigUint64(0, length, true);
      expect(refusal(bytes).message).toBe(
        `model.safetensors: a header of ${length} bytes; at most 100000000 are read`,
      );
    },
  );

  it.each<[string, unknown, string]>([
    ["an empty header", "", 'offset 8: expected "{"'],
    ["an array", [], 'expected "{", found "[]"'],
    ["a leading space", " {}", 'expected "{"'],
    ["a byte order mark", "\ufeff{}", 'expected "{"'],
    ["no JSON", "{]", "offset 9: expected a string"],
    ["trailing text", "{}x", "offset 10: expected the end of the JSON text"],
    ["a duplicate tensor", '{"ä":{},"ä":{}}', 'offset 17: duplicate key "ä"'],
    ["duplicate metadata", '{"__metadata__":{},"__metadata__":{}}', 'duplicate key "__metadata__"'],
    ["a duplicate field", '{"a":{"dtype":"F32","dtype":"F32"}}', 'duplicate key "dtype"'],
    ["deep nesting", '{"a":{"dtype":[[1]]}}', "nesting deeper than 3"],
    ["metadata that is no object", { __metadata__: "x" }, "__metadata__ is not an object"],
    ["metadata that is no text", { __metadata__: { a: 1 } }, '__metadata__["a"] is 1, not a string'],
    ["an entry that is no object", { a: 3 }, 'tensor "a": its header entry is not an object'],
    ["an entry that is null", { a: null }, 'tensor "a": its header entry is not an object'],
    ["an unknown field", { a: { ...whole, strides: [1] } }, 'tensor "a": unknown header field "strides"'],
    ["a missing dtype", { a: { shape: [2], data_offsets: [0, 8] } }, 'tensor "a": dtype is missing'],
    ["an unknown dtype", { a: entry("F31", [2], [0, 8]) }, 'tensor "a": dtype is "F31", not one of F64, F32'],
    ["a dtype of our own spelling", { a: entry("float32", [2], [0, 8]) }, 'dtype is "float32"'],
    ["a dtype that is no text", { a: entry(["F32"], [2], [0, 8]) }, 'dtype is ["F32"]'],
    ["a missing shape", { a: { dtype: "F32", data_offsets: [0, 8] } }, 'tensor "a": shape is missing'],
    ["a negative size", { a: entry("F32", [-2, -1], [0, 8]) }, "shape is [-2,-1], not a list of sizes"],
    ["a negative zero", '{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', "not a list of sizes"],
    ["a fractional size", { a: entry("F32", [0.5, 4], [0, 8]) }, "shape is [0.5,4]"],
    ["an unsafe size", { a: entry("U8", [2 ** 53], [0, 8]) }, "not a list of sizes"],
    ["a size as text", { a: entry("F32", ["2"], [0, 8]) }, 'shape is ["2"]'],
    ["a size of null", { a: entry("F32", [null], [0, 8]) }, "shape is [null]"],
    ["a shape that is a number", { a: entry("F32", 2, [0, 8]) }, "shape is 2"],
    [
      "an overflowing product",
      { a: entry("U8", [2 ** 32, 2 ** 32], [0, 0]) },
      "too large to count its bytes",
    ],
    [
      "an overflowing product with zero",
      { a: entry("U8", [...Array(40).fill(2 ** 52), 0], [0, 0]) },
      "too large",
    ],
    ["a product that wraps to the span", { a: entry("F64", [2 ** 31, 2 ** 31, 4], [0, 0]) }, "too large"],
    ["missing offsets", { a: { dtype: "F32", shape: [2] } }, "data_offsets is missing"],
    ["one offset", { a: entry("F32", [2], [8]) }, "data_offsets is [8], not a pair"],
    ["three offsets", { a: entry("F32", [2], [0, 4, 8]) }, "not a pair of byte offsets"],
    ["negative offsets", { a: entry("F32", [2], [-8, 0]) }, "not a pair of byte offsets"],
    ["offsets in reverse", { a: entry("F32", [2], [8, 0]) }, "data_offsets [8, 0] do not lie in"],
    ["an end beyond the file", { a: entry("F32", [3], [0, 12]) }, "do not lie in the file's 8 bytes of data"],
    [
      "a span that is too short",
      { a: entry("F32", [2], [0, 4]) },
      "float32 [2] takes 8 bytes, its data_offsets span 4",
    ],
    ["a span that is too long", { a: entry("F32", [1], [0, 8]) }, "takes 4 bytes, its data_offsets span 8"],
    ["a scalar without bytes", { a: entry("F32", [], [0, 0]) }, "takes 4 bytes"],
    ["the same bytes twice", { a: whole, b: whole }, 'tensor "b" overlaps tensor "a" at offset'],
    [
      "an overlap",
      { a: entry("U8", [5], [0, 5]), b: entry("U8", [4], [4, 8]) },
      'tensor "b" overlaps tensor "a"',
    ],
    [
      "an empty tensor inside another",
      { a: whole, b: entry("U8", [0], [4, 4]) },
      'tensor "b" overlaps tensor "a"',
    ],
    ["a hole at the start", { a: entry("F32", [1], [4, 8]) }, '4 bytes between the header and tensor "a"'],
    [
      "a hole inside",
      { a: entry("U8", [1], [0, 1]), b: entry("U8", [6], [2, 8]) },
      '1 bytes between tensor "a" and tensor "b"',
    ],
    ["a hole at the end", { a: entry("F32", [1], [0, 4]) }, '4 bytes after tensor "a"'],
    ["data without tensors", {}, "8 bytes after the header"],
  ])("%s", (_, header, message) => {
    const error = refusal(file(header, data));
    expect(error.message.startsWith("model.safetensors: ")).toBe(true);
    expect(error.message).toContain(message);
  });

  it("a header that is not UTF-8", () => {
    const bytes = file('{"aaaa":1}');
    bytes[10] = 0xff;
    expect(refusal(bytes).message).toBe("model.safetensors: the header, from offset 8 on, is not UTF-8");
  });
});

describe("mutations", () => {
  const good = writeSafetensors(
    [
      ["conv.weight", { dtype: "float32", shape: [2, 3], data: new Float32Array(6) }],
      ["mask", { dtype: "bool", shape: [5], data: new Uint8Array(5) }],
      ["ids", { dtype: "int64", shape: [2], data: new BigInt64Array(2) }],
    ],
    { format: "pt" },
  );

  /** Reads the file and converts each tensor; anything but a FormatError gets through. */
  function readAll(bytes: Uint8Array): void {
    try {
      const { tensors } = readSafetensors(bytes);
      let total = 0;
      for (const tensor of tensors.values()) {
        total += tensor.data.length;
        toHostTensor(tensor);
      }
      expect(total).toBeLessThanOrEqual(bytes.length);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }

  it("of bytes give a FormatError or a file", () => {
    const change = fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.nat({ max: good.length }),
        (changes, end) => {
          const bytes = good.slice();
          for (const [at, value] of changes) bytes[at] = value;
          readAll(bytes);
          readAll(bytes.subarray(0, end));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("of header text give a FormatError or a file", () => {
    const headerBytes = Number(new DataView(good.buffer).getBigUint64(0, true));
    const text = new TextDecoder().decode(good.subarray(8, 8 + headerBytes));
    const piece = fc.constantFrom(
      ...[
        "",
        "0",
        "-1",
        "9007199254740993",
        "1e999",
        "null",
        "[]",
        "{}",
        '"',
        ",",
        ":",
        "[",
        "}",
        "\\u0000",
        "F64",
        "true",
      ],
    );
    fc.assert(
      fc.property(fc.nat({ max: text.length }), fc.nat({ max: 12 }), piece, (at, removed, added) => {
        readAll(file(text.slice(0, at) + added + text.slice(at + removed), good.subarray(8 + headerBytes)));
      }),
      { numRuns: 2000 },
    );
  });

  it("of nothing but noise give a FormatError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (noise) => {
        readAll(noise);
        readAll(file(new TextDecoder().decode(noise), noise));
      }),
    );
  });
});
