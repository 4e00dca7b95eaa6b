import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { type IdxData, readIdx } from "../../src/formats/idx.js";
import { idxFile } from "./idx.js";

describe("readIdx", () => {
  it("reads bytes as a view", () => {
    const file = idxFile(0x08, [2, 3], [1, 2, 3, 4, 5, 255]);
    const { shape, data } = readIdx(file);
    expect(shape).toEqual([2, 3]);
    expect(data).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 255));
    expect(data.buffer).toBe(file.buffer);
  });

  it.each<[string, number, number[], IdxData]>([
    ["int8", 0x09, [0x80, 0x7f], Int8Array.of(-128, 127)],
    ["int16", 0x0b, [0x80, 0x00, 0x01, 0x02], Int16Array.of(-32768, 258)],
    ["int32", 0x0c, [0xff, 0xff, 0xff, 0xfe, 0, 1, 2, 3], Int32Array.of(-2, 66051)],
    ["float32", 0x0d, [0x3f, 0xc0, 0, 0, 0xff, 0x80, 0, 0], Float32Array.of(1.5, Number.NEGATIVE_INFINITY)],
    [
      "float64",
      0x0e,
      [0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a, 0xc0, 0, 0, 0, 0, 0, 0, 0],
      Float64Array.of(0.1, -2),
    ],
  ])("reads big-endian %s at any alignment", (_, type, values, expected) => {
    const file = idxFile(type, [2], values);
    for (let offset = 0; offset < 8; offset++) {
      const buffer = new Uint8Array(file.length + 16).fill(0xaa);
      buffer.set(file, offset);
      const array = readIdx(buffer.subarray(offset, offset + file.length));
      expect(array).toEqual({ shape: [2], data: expected });
    }
  });

  it("reads empty arrays", () => {
    expect(readIdx(idxFile(0x08, [0, 28, 28], []))).toEqual({ shape: [0, 28, 28], data: new Uint8Array() });
  });

  it("refuses every truncation", () => {
    const file = idxFile(0x0b, [2, 2], [0, 1, 0, 2, 0, 3, 0, 4]);
    for (let length = 0; length < file.length; length++) {
      expect(() => readIdx(file.subarray(0, length))).toThrow(FormatError);
    }
    expect(() => readIdx(file.subarray(0, 8), { source: "t10k" })).toThrow(
      "t10k: truncated in the header: 8 bytes, 2 sizes end at 12",
    );
    expect(() => readIdx(file.subarray(0, 19), { source: "t10k" })).toThrow(
      "t10k: truncated: sizes [2,2] need 8 bytes after offset 12, found 7",
    );
  });

  it.each<[string, Uint8Array, string]>([
    [
      "more than its sizes say",
      idxFile(0x08, [2], [1, 2, 3]),
      "too long: sizes [2] need 2 bytes after offset 8, found 3",
    ],
    ["sizes of terabytes", idxFile(0x08, [2 ** 20, 2 ** 20, 8], [1]), "truncated"],
    ["sizes that overflow", idxFile(0x08, [2 ** 31, 2 ** 31, 2 ** 31], [1]), "too large"],
    ["sizes that overflow to zero", idxFile(0x08, [...Array(40).fill(2 ** 31), 0], []), "too large"],
    ["an unknown type", idxFile(0x0a, [1], [1]), "starts with 0x00000a01, which is no IDX type"],
    [
      "gzip",
      Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0),
      "starts with 0x1f8b0800, which is no IDX type (is it compressed?)",
    ],
    ["no dimensions", idxFile(0x08, [], [1]), "no dimensions"],
  ])("refuses %s", (_, file, message) => {
    expect(() => readIdx(file)).toThrow(message);
    expect(() => readIdx(file)).toThrow(FormatError);
  });

  it("gives an array or a FormatError for anything", () => {
    const type = fc.constantFrom(0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f);
    const sizes = fc.array(fc.oneof(fc.nat({ max: 4 }), fc.nat({ max: 2 ** 32 - 1 })), { maxLength: 4 });
    fc.assert(
      fc.property(type, sizes, fc.uint8Array({ maxLength: 40 }), (code, shape, values) => {
        try {
          const array = readIdx(idxFile(code, shape, values));
          expect(array.data.byteLength).toBe(values.length);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});
