import fc from "fast-check";
import { expect, it } from "vitest";
import type { HostArray, HostTensor } from "../../src/base/dtype.js";
import { FeedMemory } from "../../src/runtime/feed-memory.js";

const kibibytes = 1024;

function filled(bytes: number, value: number): HostTensor {
  return { dtype: "float32", shape: [bytes / 4], data: new Float32Array(bytes / 4).fill(value) };
}

it("keeps copies of every dtype apart from their tensors", () => {
  const memory = new FeedMemory();
  const tensors: HostTensor[] = [
    filled(8 * kibibytes, 1.5),
    { dtype: "int64", shape: [1025], data: new BigInt64Array(1025).fill(-7n) },
    { dtype: "bool", shape: [8193], data: new Uint8Array(8193).fill(1) },
  ];
  const copies = tensors.map((tensor) => memory.copyOf(tensor)!);
  for (const { data } of tensors) new Uint8Array(data.buffer).fill(0);
  expect(copies[0]).toEqual(new Float32Array(2048).fill(1.5));
  expect(copies[1]).toEqual(new BigInt64Array(1025).fill(-7n));
  expect(copies[2]).toEqual(new Uint8Array(8193).fill(1));
  expect(new Set(copies.map(({ buffer }) => buffer)).size).toBe(1);
  expect(copies[0]!.buffer).toBeInstanceOf(SharedArrayBuffer);
});

it("takes no small tensors, and none for which there is no room", () => {
  const memory = new FeedMemory(20 * kibibytes);
  expect(memory.copyOf(filled(4 * kibibytes, 1))).toBeUndefined();
  expect(memory.copyOf(filled(24 * kibibytes, 1))).toBeUndefined();
  const first = memory.copyOf(filled(12 * kibibytes, 1))!;
  expect(memory.copyOf(filled(12 * kibibytes, 2))).toBeUndefined();
  memory.release(first);
  expect(memory.copyOf(filled(20 * kibibytes, 3))?.byteOffset).toBe(0);
});

it("gives free only what it made, and that once", () => {
  const memory = new FeedMemory(16 * kibibytes);
  const first = memory.copyOf(filled(8 * kibibytes, 1))!;
  memory.release(new Float32Array(2048));
  memory.release(first);
  const second = memory.copyOf(filled(8 * kibibytes, 2))!;
  const third = memory.copyOf(filled(8 * kibibytes, 3))!;
  expect([second.byteOffset, third.byteOffset]).toEqual([0, 8 * kibibytes]);
  expect([second[0], third[0]]).toEqual([2, 3]);
});

it("copies in use never meet, whatever is released in between", () => {
  const step = fc.record({
    bytes: fc.integer({ min: 2048, max: 16 * 1024 }).map((elements) => 4 * elements),
    released: fc.option(fc.nat()),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const memory = new FeedMemory(256 * kibibytes);
      const used: { copy: HostArray; value: number }[] = [];
      for (const [value, { bytes, released }] of steps.entries()) {
        if (released !== null && used.length > 0) {
          memory.release(used.splice(released % used.length, 1)[0]!.copy);
        }
        const copy = memory.copyOf(filled(bytes, value));
        if (copy) used.push({ copy, value });
        for (const other of used) {
          expect(other.copy.every((element) => element === other.value)).toBe(true);
        }
      }
    }),
    { numRuns: 50 },
  );
});
