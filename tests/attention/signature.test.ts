import { describe, expect, it } from "vitest";
import { type CallSignature, checkArgument, checkValues } from "../../src/attention/signature.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { DataError, ShapeError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import { batch } from "../../src/graph/size.js";

const attention: CallSignature = {
  inputs: {
    query: { shape: ["batch", "queries", 8] },
    key: { shape: ["batch", "keys", 8] },
    map: { shape: ["batch", "queries*keys"], optional: true },
    mask: { shape: ["..."], dtype: "bool", otherDType: "float32", optional: true },
    lengths: { shape: ["batch"], dtype: "int64", optional: true, range: [1, "keys"] },
  },
  outputs: { y: ["batch", "queries", 8] },
};
const query = input("query", [batch, 4, 8]);
const key = input("key", [batch, 6, 8]);

describe("checking a call's arguments", () => {
  it("accepts what fits", () => {
    checkArgument("X.forward", attention, { query, key });
    checkArgument("X.forward", attention, { query, key, map: input("map", [batch, 24]) });
    checkArgument("X.forward", attention, { query, key, mask: input("mask", [4, 6], "bool") });
    checkArgument("X.forward", attention, { query, key, mask: input("mask", [4, 6]) });
  });

  it.each([
    [
      "a size that stands for two",
      { query, key: input("key", [2, 6, 8]) },
      "input key must be float32 [batch, keys, 8], found float32 [2, 6, 8]",
    ],
    [
      "a wrong product",
      { query, key, map: input("map", [batch, 23]) },
      "input map must be float32 [batch, queries*keys], found float32 [batch, 23]",
    ],
    [
      "a wrong dtype",
      { query, key, lengths: input("lengths", [batch]) },
      "input lengths must be int64 [batch], found float32 [batch]",
    ],
    [
      "a dtype that is neither of two",
      { query, key, mask: input("mask", [4, 6], "int64") },
      "input mask must be bool or float32 [...], found int64 [4, 6]",
    ],
    ["a missing input", { query }, "input key must be float32 [batch, keys, 8], found none"],
    [
      "an unknown input",
      { query, key, keys: key },
      "has no input keys; its inputs are query, key, map, mask, lengths",
    ],
    ["a tensor alone", query, "takes one object of query, key, map, mask, lengths, found a tensor"],
    ["no argument", undefined, "takes one object of query, key, map, mask, lengths, found none"],
    ["a number", { query, key: 3 }, "found number"],
  ])("refuses %s", (_what, argument, message) => {
    const check = () => checkArgument("X.forward", attention, argument);
    expect(check).toThrow(ShapeError);
    expect(check).toThrow(`X.forward`);
    expect(check).toThrow(message);
  });

  it("takes any number of axes at dots", () => {
    const signature: CallSignature = {
      inputs: { x: { shape: ["batch", "...", 3] } },
      outputs: { y: ["..."] },
    };
    for (const shape of [
      [batch, 3],
      [batch, 5, 3],
      [batch, 5, 6, 3],
    ]) {
      checkArgument("X.forward", signature, input("x", shape));
    }
    for (const shape of [[3], [batch, 5, 4]]) {
      expect(() => checkArgument("X.forward", signature, input("x", shape))).toThrow(ShapeError);
    }
  });
});

describe("checking values", () => {
  const floats = (shape: readonly number[]): HostTensor => ({
    dtype: "float32",
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)),
  });
  const lengths = (...values: bigint[]): HostTensor => ({
    dtype: "int64",
    shape: [values.length],
    data: BigInt64Array.from(values),
  });
  const given = { query: floats([2, 4, 8]), key: floats([2, 6, 8]) };

  it("refuses integers outside of their range", () => {
    checkValues("X.forward", attention, { ...given, lengths: lengths(1n, 6n) });
    for (const value of [0n, 7n]) {
      const check = () => checkValues("X.forward", attention, { ...given, lengths: lengths(1n, value) });
      expect(check).toThrow(DataError);
      expect(check).toThrow(`X.forward: input lengths must lie in [1, 6], found ${value} at index 1`);
    }
  });

  it("asks the signature's own check", () => {
    const check = () => {
      throw new DataError("no");
    };
    expect(() => checkValues("X.forward", { ...attention, check }, given)).toThrow("no");
  });
});
