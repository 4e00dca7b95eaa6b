import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readNpy, writeNpy } from "../../src/formats/npy.js";

/** `numpy.save` of `numpy.arange(6, dtype=...).reshape(2, 3)`, NumPy 2: the header, then the values. */
function numpyFile(header: string, values: ArrayBufferView, version = 1): Uint8Array {
  const prefix = version === 1 ? 10 : 12;
  const text = `${header.padEnd(128 - prefix - 1)}\n`;
  const bytes = new Uint8Array(128 + values.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(bytes.buffer);
  if (version === 1) view.setUint16(8, text.length, true);
  else view.setUint32(8, text.length, true);
  bytes.set(new TextEncoder().encode(text), prefix);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 128);
  return bytes;
}

const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
const values = Float32Array.of(0, 1, 2, 3, 4, 5);

describe("npy", () => {
  it("writes the bytes that numpy.save writes", () => {
    expect(writeNpy({ dtype: "float32", shape: [2, 3], data: values })).toEqual(numpyFile(header, values));
  });

  it.each([1, 2])("reads format %d.0", (version) => {
    expect(toHostTensor(readNpy(numpyFile(header, values, version)))).toEqual({
      dtype: "float32",
      shape: [2, 3],
      data: values,
    });
  });

  it("reads scalars, empty arrays and other types", () => {
    const read = (text: string, data: ArrayBufferView) => readNpy(numpyFile(text, data));
    const scalar = "{'descr': '<i8', 'fortran_order': False, 'shape': (), }";
    expect(read(scalar, BigInt64Array.of(7n))).toMatchObject({ dtype: "int64", shape: [] });
    const empty = "{'descr': '|b1', 'fortran_order': True, 'shape': (0,), }";
    expect(read(empty, new Uint8Array(0))).toMatchObject({ dtype: "bool", shape: [0] });
  });

  it("gives back what it wrote", () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 });
    fc.assert(
      fc.property(shapes, fc.constantFrom("float32", "int64", "uint8", "bool"), (shape, dtype) => {
        const count = shape.reduce((product, size) => product * size, 1);
        const data = {
          float32: () => Float32Array.from({ length: count }, (_, at) => at / 3),
          int64: () => BigInt64Array.from({ length: count }, (_, at) => BigInt(-at)),
          uint8: () => Uint8Array.from({ length: count }, (_, at) => at),
          bool: () => Uint8Array.from({ length: count }, (_, at) => at % 2),
        }[dtype]();
        const read = readNpy(writeNpy({ dtype, shape, data }));
        expect(read).toMatchObject({ dtype, shape });
        expect([...read.data]).toEqual([...new Uint8Array(data.buffer)]);
      }),
    );
  });

  it.each([
    ["{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", /elements of type ">f4"/],
    ["{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", /elements of type "\|O"/],
    ["{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", /Fortran order/],
    [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }",
      /needs 32 bytes after offset 128, found 24/,
    ],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }", /too large/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2, , 3), }", /shape \(2, , 3\) is none/],
    ["{'descr': '<f4', 'fortran_order': False}", /expected 'descr' of a plain type/],
    [
      "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }",
      /expected 'descr' of a plain type/,
    ],
    ["{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", /expected 'descr'/],
  ])("refuses the header %s", (text, problem) => {
    expect(() => readNpy(numpyFile(text, values), { source: "map.npy" })).toThrow(problem);
    expect(() => readNpy(numpyFile(text, values), { source: "map.npy" })).toThrow(/^map\.npy: /);
  });

  it("refuses other files and other formats", () => {
    const bytes = numpyFile(header, values);
    expect(() => readNpy(new Uint8Array(4))).toThrow(FormatError);
    expect(() => readNpy(bytes.with(6, 3))).toThrow(/format 3\.0/);
    expect(() => readNpy(bytes.subarray(0, 60))).toThrow(/the header ends at 128, the file at 60/);
    expect(() => readNpy(numpyFile(header, values, 2).with(9, 0xff))).toThrow(
      /a header of \d+ bytes; at most 10000/,
    );
    expect(() => writeNpy({ dtype: "bfloat16", shape: [1], data: new Uint8Array(2) })).toThrow(/no bfloat16/);
    expect(() => writeNpy({ dtype: "float32", shape: [2], data: values })).toThrow(/does not fit 24 bytes/);
  });

  it("never fails otherwise on changed files", () => {
    const bytes = numpyFile(header, values);
    const change = fc.tuple(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 152 }),
        (changes, end) => {
          const broken = bytes.slice(0, end);
          for (const [at, value] of changes) if (at < end) broken[at] = value;
          try {
            const { shape, data } = readNpy(broken);
            expect(data.length).toBeLessThanOrEqual(broken.length);
            expect(shape.every(Number.isSafeInteger)).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
