import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { type JsonValue, readJson } from "../../src/formats/json.js";

function read(text: string, maxDepth = 100): JsonValue {
  return readJson(text, {
    maxDepth,
    fault: (position, problem) => new FormatError(`${position}: ${problem}`),
  });
}

/** Maps as plain objects, to compare with `JSON.parse`. */
function plain(value: JsonValue): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

describe("readJson", () => {
  it("reads what JSON.parse reads, with any spacing", () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, 1, "\t", "\n\r "), (text, indent) => {
        const spaced = ` ${JSON.stringify(JSON.parse(text), null, indent)}\n`;
        expect(plain(read(spaced))).toEqual(JSON.parse(text));
      }),
    );
  });

  it("refuses what JSON.parse refuses", () => {
    const noise = fc.string({ unit: fc.constantFrom(...'{}[]":,\\0129.eE+-truefalsn \n\u0001ua') });
    fc.assert(
      fc.property(noise, (text) => {
        let expected: unknown;
        let valid = true;
        try {
          expected = JSON.parse(text);
        } catch {
          valid = false;
        }
        if (valid && text.length < 60) expect(plain(read(text))).toEqual(expected);
        if (!valid) expect(() => read(text)).toThrow(FormatError);
      }),
      { numRuns: 2000 },
    );
  });

  it("keeps the order of keys, and keys that objects treat specially", () => {
    const value = read('{"2":0,"1":0,"__proto__":{"x":1},"constructor":null}') as Map<string, JsonValue>;
    expect([...value.keys()]).toEqual(["2", "1", "__proto__", "constructor"]);
    expect(value.get("__proto__")).toEqual(new Map([["x", 1]]));
  });

  it.each([
    ['{"a":1,"a":1}', '7: duplicate key "a"'],
    ['{"a":1,"\\u0061":1}', '7: duplicate key "a"'],
    ['{"b":{"a":1,"a":1}}', '12: duplicate key "a"'],
    ['{"a" 1}', '5: expected ":", found "1}"'],
    ["{a:1}", '1: expected a string, found "a:1}"'],
    ["[1 2]", '3: expected "," or "]", found "2]"'],
    ["[1,]", '3: expected a JSON value, found "]"'],
    ['{"a":1,}', "7: expected a string"],
    ["[1", '2: expected "," or "]", found the end of the text'],
    ["", "0: expected a JSON value, found the end of the text"],
    ["1 2", "2: expected the end of the JSON text"],
    ["nul", "0: expected a JSON value"],
    ["01", "0: expected a JSON value"],
    ["NaN", "0: expected a JSON value"],
    ['"abc', "0: a string without end"],
    ['"abc\\"', "0: a string without end"],
    ['"a\nb"', "0: expected a string without control characters"],
    ['"\\x"', "0: expected a string without control characters and unknown escapes"],
  ])("refuses %j at its place", (text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it("bounds nesting", () => {
    expect(read("[[[]]]", 3)).toEqual([[[]]]);
    expect(() => read("[[[[]]]]", 3)).toThrow("3: nesting deeper than 3");
    expect(() => read("[".repeat(1_000_000))).toThrow(FormatError);
  });

  it("survives long runs", () => {
    const long = 4_000_000;
    expect(read(`${" ".repeat(long)}1`)).toBe(1);
    expect(read(`"${"a".repeat(long)}"`)).toBe("a".repeat(long));
    expect(read(`"${"\\n".repeat(long)}"`)).toBe("\n".repeat(long));
    expect(() => read("1".repeat(long))).toThrow(FormatError);
    expect(() => read(`"${"a".repeat(long)}`)).toThrow(FormatError);
  });
});
