import { describe, expect, it } from "vitest";
import { type ColormapName, colormap, colormapNames } from "../../src/report/colormap.js";

const toHex = (rgb: readonly number[]) => rgb.map((v) => v.toString(16).padStart(2, "0")).join("");

/** Lightness L* of CIELAB (D65). */
function lightness([r, g, b]: readonly [number, number, number]): number {
  const linear = (v: number) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const y = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return y > 216 / 24389 ? 116 * Math.cbrt(y) - 16 : (y * 24389) / 27;
}

describe("colour maps", () => {
  // Points of the published tables (matplotlib's _cm_listed.py; ColorBrewer RdBu, 11 classes).
  it.each([
    ["viridis", 0, "440154"],
    ["viridis", 64 / 255, "3b528b"],
    ["viridis", 128 / 255, "21918c"],
    ["viridis", 192 / 255, "5ec962"],
    ["viridis", 1, "fde725"],
    ["inferno", 0, "000004"],
    ["inferno", 64 / 255, "57106e"],
    ["inferno", 128 / 255, "bc3754"],
    ["inferno", 192 / 255, "f98e09"],
    ["inferno", 1, "fcffa4"],
    ["rdbu", 0, "053061"],
    ["rdbu", 0.3, "92c5de"],
    ["rdbu", 0.5, "f7f7f7"],
    ["rdbu", 0.8, "d6604d"],
    ["rdbu", 1, "67001f"],
  ] as const)("%s at %d is #%s", (name, t, expected) => expect(toHex(colormap(name)(t))).toBe(expected));

  it("interpolates between published colours and clamps outside", () => {
    const map = colormap("rdbu");
    expect(map(0.55)).toEqual([Math.round((0xf7 + 0xfd) / 2), Math.round((0xf7 + 0xdb) / 2), 0xdf]);
    expect(map(-3)).toEqual(map(0));
    expect(map(7)).toEqual(map(1));
    expect(map(Number.NaN)).toEqual(map(0));
  });

  it("sequential maps grow lighter evenly", () => {
    for (const name of ["viridis", "inferno"] as const) {
      const levels = Array.from({ length: 33 }, (_, i) =>
        lightness(colormap(name)(i / 32) as [number, number, number]),
      );
      for (let i = 1; i < levels.length; i++) {
        const step = levels[i]! - levels[i - 1]!;
        expect(step, `${name} ${i}`).toBeGreaterThan(0.5);
        expect(step, `${name} ${i}`).toBeLessThan(5);
      }
    }
  });

  it("refuses an unknown name and names the known ones", () => {
    expect(colormapNames).toEqual(["viridis", "inferno", "rdbu"]);
    expect(() => colormap("jet" as ColormapName)).toThrow(/viridis, inferno, rdbu; found "jet"/);
    expect(() => colormap("toString" as ColormapName)).toThrow(/found "toString"/);
  });
});
