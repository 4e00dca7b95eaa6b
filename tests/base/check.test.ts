import { describe, expect, it } from "vitest";
import { checkInteger, checkNumber } from "../../src/base/check.js";
import { OptionError } from "../../src/base/errors.js";

describe("checkInteger", () => {
  it("takes integers in the range, ends included", () => {
    for (const value of [0, 1, Number.MAX_SAFE_INTEGER]) checkInteger("f", "n", value);
    for (const value of [-2, 0, 5]) checkInteger("f", "n", value, { min: -2, max: 5 });
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "3", 3n, null, undefined])(
    "refuses %s",
    (value) => {
      expect(() => checkInteger("f", "n", value)).toThrow(OptionError);
    },
  );

  it("names option, value and rule", () => {
    expect(() => checkInteger("loader", "batchSize", 0, { min: 1 })).toThrow(
      "loader: batchSize is 0; it must be an integer of at least 1",
    );
    expect(() => checkInteger("f", "n", "9", { max: 5 })).toThrow(
      'f: n is "9"; it must be an integer from 0 to 5',
    );
  });
});

describe("checkNumber", () => {
  it("takes finite numbers in the range, ends included", () => {
    for (const value of [-1e300, 0, 0.5]) checkNumber("f", "x", value);
    for (const value of [0, 0.5, 1]) checkNumber("f", "x", value, { min: 0, max: 1 });
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, "1", null, undefined])("refuses %s", (value) => {
    expect(() => checkNumber("f", "x", value)).toThrow("it must be a finite number");
  });

  it("names option, value and rule", () => {
    expect(() => checkNumber("flip", "probability", 1.5, { min: 0, max: 1 })).toThrow(
      "flip: probability is 1.5; it must be a finite number, at least 0 and at most 1",
    );
    expect(() => checkNumber("f", "x", -1, { min: 0 })).toThrow("at least 0");
  });
});
