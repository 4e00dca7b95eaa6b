import { expect, it } from "vitest";
import { quote } from "../../src/base/quote.js";

it("quotes, escapes and cuts", () => {
  expect(quote('a"b\n\u0007')).toBe('"a\\"b\\n\\u0007"');
  expect(quote("x".repeat(80))).toBe(`"${"x".repeat(80)}"`);
  expect(quote("x".repeat(81))).toBe(`"${"x".repeat(80)}..."`);
});
