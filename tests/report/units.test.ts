import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatClock,
  formatCount,
  formatDuration,
  formatInteger,
  formatPercent,
  formatRate,
  formatValue,
} from "../../src/report/units.js";

describe("units", () => {
  it.each([
    [0, "0"],
    [950, "950"],
    [12.345, "12.3"],
    [9.999, "10.0"],
    [999.9, "1.00 k"],
    [1000, "1.00 k"],
    [61_402, "61.4 k"],
    [999_600, "1.00 M"],
    [1_234_567, "1.23 M"],
    [-25.6e9, "-25.6 G"],
    [Number.NaN, "n/a"],
  ])("counts %d as %s", (value, text) => expect(formatCount(value)).toBe(text));

  it.each([
    [0, "0 B"],
    [512, "512 B"],
    [1023, "1023 B"],
    [1536, "1.50 KiB"],
    [244_318_208, "233 MiB"],
    [1_048_575, "1.00 MiB"],
  ])("writes %d bytes as %s", (value, text) => expect(formatBytes(value)).toBe(text));

  it.each([
    [0, "0 s"],
    [0.00034, "340 us"],
    [0.0123, "12.3 ms"],
    [0.9996, "1.00 s"],
    [4.56, "4.56 s"],
    [59.97, "1:00"],
    [65, "1:05"],
    [3723, "1:02:03"],
    [183_845, "2 d 3:04:05"],
    [-4.5, "-4.50 s"],
  ])("writes %d seconds as %s", (value, text) => expect(formatDuration(value)).toBe(text));

  it("writes rates, integers, shares, clocks and values", () => {
    expect(formatRate(1234, "images/s")).toBe("1.23 k images/s");
    expect(formatInteger(60_000)).toBe("60,000");
    expect(formatPercent(0.98765)).toBe("98.77 %");
    expect(formatPercent(1, 1)).toBe("100.0 %");
    expect(formatClock(7.4)).toBe("0:07");
    expect([0.123456, 12.3456, 1.5e-7, 0, Number.NaN, -Infinity].map(formatValue)).toEqual([
      "0.1235",
      "12.35",
      "1.500e-7",
      "0.000",
      "NaN",
      "-Infinity",
    ]);
  });

  it("counts never read 1000 of a unit that has a larger one", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 9e14, noNaN: true }), (value) => {
        expect(Number.parseFloat(formatCount(value))).toBeLessThan(1000);
      }),
    );
  });
});
