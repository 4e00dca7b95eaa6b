import { constants, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { inflate } from "../../src/formats/inflate.js";

const strategies = [
  constants.Z_DEFAULT_STRATEGY,
  constants.Z_FIXED,
  constants.Z_HUFFMAN_ONLY,
  constants.Z_RLE,
];
/** Bytes that repeat themselves more or less. */
const content = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 300 })), { maxLength: 8 })
  .map((parts) => Buffer.concat(parts.flatMap(([bytes, times]) => Array<Uint8Array>(times).fill(bytes))));

function refusal(data: Uint8Array, size: number): string {
  try {
    inflate(data, size, "data.pkl");
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
  throw new Error("the data were read");
}

describe("inflate", () => {
  it("gives back what zlib compressed, at any level and strategy", () => {
    fc.assert(
      fc.property(content, fc.nat({ max: 9 }), fc.constantFrom(...strategies), (bytes, level, strategy) => {
        const data = deflateRawSync(bytes, { level, strategy });
        expect(Buffer.from(inflate(data, bytes.length, "x")).equals(bytes)).toBe(true);
      }),
    );
  });

  it("refuses every truncation, bytes behind the end, and any other size", () => {
    const bytes = Buffer.from("squeeze and excitation, squeeze and excitation, once more".repeat(3));
    for (const level of [0, 9]) {
      const data = deflateRawSync(bytes, { level });
      for (let length = 0; length < data.length; length++) {
        expect(refusal(data.subarray(0, length), bytes.length)).toMatch(/truncated|expands to/);
      }
      expect(refusal(Buffer.concat([data, Buffer.alloc(2)]), bytes.length)).toBe(
        "data.pkl: deflate data: 2 bytes follow the last block",
      );
      expect(refusal(data, bytes.length - 1)).toContain(
        `beyond the ${bytes.length - 1} bytes that were promised`,
      );
      expect(refusal(data, bytes.length + 1)).toContain(
        `expands to ${bytes.length} bytes; ${bytes.length + 1} were`,
      );
    }
  });

  it("stops a bomb where the promised bytes end", () => {
    const bomb = deflateRawSync(Buffer.alloc(50_000_000));
    expect(refusal(bomb, 1000)).toContain("beyond the 1000 bytes");
  });

  it.each([
    ["a block of unknown type", [0b111]],
    ["a stored block whose length is damaged", [0b001, 4, 0, 4, 0]],
    ["a reference to before the start", [0b011, 0b10, 0]],
    ["too many codes", [0b11101101, 0b11111111, 0xff]],
  ])("refuses %s", (problem, data) => {
    expect(refusal(Uint8Array.from(data), 100)).toContain(problem);
  });

  it("gives bytes or a FormatError for anything", () => {
    const noise = fc.tuple(fc.constantFrom(0b101, 0b011, 0b001), fc.uint8Array({ maxLength: 200 }));
    fc.assert(
      fc.property(noise, ([first, rest]) => {
        try {
          expect(inflate(Uint8Array.of(first, ...rest), 500, "x").length).toBe(500);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
