import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { type FileDType, toHostTensor } from "../../src/formats/file-tensor.js";

function stored(dtype: FileDType, values: ArrayBufferView, length: number) {
  return { dtype, shape: [length], data: new Uint8Array(values.buffer) };
}

describe("toHostTensor", () => {
  it("converts float16 exactly: zeros, subnormals, normals, extremes, infinities, NaN", () => {
    const cases: [number, number][] = [
      [0x0000, 0],
      [0x8000, -0],
      [0x0001, 2 ** -24],
      [0x8003, -3 * 2 ** -24],
      [0x0200, 2 ** -15],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3c00, 1],
      [0x3c01, 1 + 2 ** -10],
      [0xc000, -2],
      [0x3555, 0.333251953125],
      [0x7bff, 65504],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
      [0x7e00, Number.NaN],
    ];
    const bits = Uint16Array.from(cases, ([half]) => half);
    const { dtype, data } = toHostTensor(stored("float16", bits, bits.length));
    expect(dtype).toBe("float32");
    expect(data).toEqual(Float32Array.from(cases, ([, value]) => value));
  });

  it("agrees with the definition of float16 for every finite value", () => {
    const bits = Uint16Array.from({ length: 1 << 16 }, (_, i) => i).filter(
      (half) => ((half >> 10) & 31) < 31,
    );
    const { data } = toHostTensor(stored("float16", bits, bits.length));
    const expected = Float32Array.from(bits, (half) => {
      const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
      return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
    });
    expect(data).toEqual(expected);
  });

  it("converts bfloat16 and float64", () => {
    const half = toHostTensor(stored("bfloat16", Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x0001), 4));
    expect([...half.data]).toEqual([1, -3.140625, Number.POSITIVE_INFINITY, 2 ** -133]);
    const double = toHostTensor(stored("float64", Float64Array.of(0.1, -1e300, 1e-60), 3));
    expect(double.dtype).toBe("float32");
    expect([...double.data]).toEqual([Math.fround(0.1), Number.NEGATIVE_INFINITY, 0]);
  });

  it.each<[FileDType, ArrayBufferView, bigint[]]>([
    ["int8", Int8Array.of(-128, 127), [-128n, 127n]],
    ["uint8", Uint8Array.of(0, 255), [0n, 255n]],
    ["int16", Int16Array.of(-32768, 32767), [-32768n, 32767n]],
    ["uint16", Uint16Array.of(0, 65535), [0n, 65535n]],
    ["int32", Int32Array.of(-(2 ** 31), 2 ** 31 - 1), [-(2n ** 31n), 2n ** 31n - 1n]],
    ["uint32", Uint32Array.of(0, 2 ** 32 - 1), [0n, 2n ** 32n - 1n]],
    ["int64", BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n), [-(2n ** 63n), 2n ** 63n - 1n]],
    ["uint64", BigUint64Array.of(0n, 2n ** 63n - 1n), [0n, 2n ** 63n - 1n]],
  ])("converts %s to int64", (dtype, values, expected) => {
    const { dtype: kind, data } = toHostTensor(stored(dtype, values, 2));
    expect(kind).toBe("int64");
    expect(data).toEqual(BigInt64Array.from(expected));
  });

  it("copies, whatever the alignment, also from a Node.js Buffer", () => {
    for (const offset of [0, 1, 2, 3, 5]) {
      const file = Buffer.alloc(64);
      file.writeFloatLE(1.5, offset);
      const data = file.subarray(offset, offset + 4);
      const tensor = toHostTensor({ dtype: "float32", shape: [1], data });
      expect(tensor.data).toEqual(Float32Array.of(1.5));
      expect(tensor.data.buffer.byteLength).toBe(4);
      file.fill(0);
      expect(tensor.data[0]).toBe(1.5);
    }
  });

  it("refuses values that have no place, naming tensor and element", () => {
    expect(() => toHostTensor(stored("bool", Uint8Array.of(0, 1, 2), 3), "mask")).toThrow(
      "mask: element 2 is 2",
    );
    expect(() => toHostTensor(stored("uint64", BigUint64Array.of(0n, 2n ** 63n), 2), "ids")).toThrow(
      "ids: element 1",
    );
    expect(() => toHostTensor({ dtype: "float32", shape: [2], data: new Uint8Array(7) }, "w")).toThrow(
      FormatError,
    );
  });
});
