import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Canvas, hex } from "../../src/report/canvas.js";
import { fitText, measureText, wrapText } from "../../src/report/font.js";
import { heatShader, imageShader } from "../../src/report/image.js";
import { coverage, reversed, roundedRectangle } from "../../src/report/path.js";
import { resizePlane } from "../../src/report/resize.js";

const black = hex("#000000");
const white = hex("#ffffff");

function pixel(canvas: Canvas, x: number, y: number): number[] {
  return [...canvas.data.subarray((y * canvas.width + x) * 4, (y * canvas.width + x) * 4 + 4)];
}

const total = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

describe("coverage", () => {
  it("is exact for fractional rectangles", () => {
    const area = coverage([[1.25, 0.5, 3.5, 0.5, 3.5, 2, 1.25, 2]], 10, 10)!;
    expect([area.x, area.y, area.width, area.height]).toEqual([1, 0, 3, 2]);
    expect([...area.values]).toEqual([0.375, 0.5, 0.25, 0.75, 1, 0.5]);
  });

  it("sums to the area of any triangle inside the picture", () => {
    const coordinate = fc.double({ min: 0, max: 20, noNaN: true });
    fc.assert(
      fc.property(fc.array(coordinate, { minLength: 6, maxLength: 6 }), (points) => {
        const [ax, ay, bx, by, cx, cy] = points as [number, number, number, number, number, number];
        const expected = Math.abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2;
        expect(total(coverage([points], 20, 20)?.values ?? [])).toBeCloseTo(expected, 3);
      }),
    );
  });

  it("leaves holes open and clips at every side", () => {
    const ring = coverage(
      [roundedRectangle(2, 2, 6, 6, 0), reversed(roundedRectangle(4, 4, 2, 2, 0))],
      10,
      10,
    )!;
    expect(total(ring.values)).toBeCloseTo(32, 5);
    const clipped = coverage([roundedRectangle(-5, -5, 30, 30, 0)], 10, 8)!;
    expect([clipped.width, clipped.height, total(clipped.values)]).toEqual([10, 8, 80]);
    expect(coverage([roundedRectangle(20, 20, 5, 5, 0)], 10, 10)).toBeNull();
    const circle = coverage([roundedRectangle(1, 1, 40, 40, 20)], 50, 50)!;
    expect(Math.abs(total(circle.values) / (Math.PI * 400) - 1)).toBeLessThan(0.01);
  });
});

describe("canvas", () => {
  it("fills, blends and keeps what lies outside", () => {
    const canvas = new Canvas(4, 2, { background: black });
    canvas.rect(1, 0, 2, 1, [255, 0, 0, 0.5]);
    expect(pixel(canvas, 1, 0)).toEqual([128, 0, 0, 255]);
    expect(pixel(canvas, 0, 0)).toEqual([0, 0, 0, 255]);
    expect(pixel(canvas, 1, 1)).toEqual([0, 0, 0, 255]);
  });

  it("composites over transparency without darkening", () => {
    const canvas = new Canvas(1, 1);
    expect(pixel(canvas, 0, 0)).toEqual([0, 0, 0, 0]);
    canvas.rect(0, 0, 1, 1, [200, 100, 50, 0.4]);
    expect(pixel(canvas, 0, 0)).toEqual([200, 100, 50, 102]);
  });

  it("draws in logical pixels at any density", () => {
    const canvas = new Canvas(4, 3, { density: 2, background: black });
    expect([canvas.width, canvas.height]).toEqual([8, 6]);
    canvas.rect(1, 1, 1, 1, white);
    expect(total(canvas.data) - 48 * 255).toBe(4 * 3 * 255);
    canvas.line(0, 2.5, 4, 2.5, white);
    expect(pixel(canvas, 0, 4)).toEqual([255, 255, 255, 255]);
    expect(pixel(canvas, 7, 5)).toEqual([255, 255, 255, 255]);
  });

  it("frames leave the inside alone", () => {
    const canvas = new Canvas(10, 10, { background: black });
    canvas.frame(1, 1, 8, 8, white, 1);
    expect(total(canvas.data) - 100 * 255).toBe(28 * 3 * 255);
    expect(pixel(canvas, 5, 5)).toEqual([0, 0, 0, 255]);
  });

  it("refuses sizes that cannot be and colours that are none", () => {
    expect(() => new Canvas(0, 10)).toThrow(/found 0 x 10/);
    expect(() => new Canvas(Number.NaN, 10)).toThrow(/found NaN/);
    expect(() => new Canvas(20_000, 10)).toThrow(/16384/);
    expect(() => new Canvas(16_000, 16_000)).toThrow(/in all/);
    expect(() => hex("red")).toThrow(/#rrggbb; found "red"/);
  });
});

describe("text", () => {
  function ink(text: string, size = 40) {
    const canvas = new Canvas(60, 60, { background: black });
    canvas.text(5, 45, text, { size, color: white });
    const [xs, ys]: [number[], number[]] = [[], []];
    for (let i = 0; i < 3600; i++) {
      if (canvas.data[i * 4]! < 128) continue;
      xs.push(i % 60);
      ys.push(Math.floor(i / 60));
    }
    return {
      left: Math.min(...xs),
      right: Math.max(...xs),
      top: Math.min(...ys),
      bottom: Math.max(...ys),
      count: xs.length,
    };
  }

  it("draws every printable ASCII and Latin-1 letter as a shape of its own", () => {
    const ascii = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
    const latin = Array.from("ÀÉÎÕÜßàéîõüçñøåæ×·–—…°±µ≤≥αβσ");
    const seen = new Set<string>();
    for (const character of [...ascii, ...latin]) {
      const canvas = new Canvas(60, 60);
      canvas.text(5, 45, character, { size: 40, color: white });
      seen.add(canvas.data.join());
    }
    // micro sign and Greek mu are not both in the list, so no two look the same
    expect(seen.size).toBe(ascii.length + latin.length);
  });

  it("stands on its baseline with the height of its capitals", () => {
    const { top, bottom, left } = ink("H");
    expect(bottom).toBe(44);
    expect(bottom - top + 1).toBeGreaterThanOrEqual(28);
    expect(bottom - top + 1).toBeLessThanOrEqual(29);
    expect(left).toBeGreaterThan(5);
    expect(ink("p").bottom).toBeGreaterThan(46);
  });

  it("leaves the counters of letters open", () => {
    const canvas = new Canvas(60, 60, { background: black });
    const width = measureText("O", 40);
    canvas.text(5, 45, "O", { size: 40, color: white });
    expect(pixel(canvas, Math.round(5 + width / 2), 31)).toEqual([0, 0, 0, 255]);
  });

  it("shows a box for what it does not know and composes accents", () => {
    expect(ink("漢").count).toBeGreaterThan(50);
    expect(ink("漢")).toEqual(ink("字"));
    expect(ink("e\u0301")).toEqual(ink("é"));
    expect(measureText("a\tb", 10)).toBe(measureText("a b", 10));
  });

  it("aligns and gives its width", () => {
    const columns = (align: "left" | "center" | "right") => {
      const canvas = new Canvas(100, 20, { background: black });
      const width = canvas.text(50, 15, "llll", { size: 12, color: white, align });
      expect(width).toBeCloseTo(measureText("llll", 12), 9);
      const lit = Array.from({ length: 2000 }, (_, i) => i).filter((i) => canvas.data[i * 4]! > 60);
      return lit.map((i) => i % 100).sort((a, b) => a - b);
    };
    expect(columns("left")[0]).toBeGreaterThanOrEqual(50);
    expect(columns("right").at(-1)).toBeLessThan(50);
    const centered = columns("center");
    expect(Math.abs(centered[0]! + centered.at(-1)! - 99)).toBeLessThanOrEqual(2);
  });

  it("is cut and wrapped within the width that there is", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), fc.integer({ min: 0, max: 200 }), (text, width) => {
        expect(measureText(fitText(text, width, 12), 12)).toBeLessThanOrEqual(Math.max(width, 0));
        for (const line of wrapText(text, width, 12))
          expect(measureText(line, 12)).toBeLessThanOrEqual(width);
      }),
    );
    expect(wrapText("one two  three", 1000, 12)).toEqual(["one two three"]);
    expect(fitText("flat-coated retriever", 80, 12)).toMatch(/^flat-.*…$/);
  });
});

describe("resizing and shaders", () => {
  it("keeps constants, repeats pixels, interpolates and averages", () => {
    for (const kind of ["nearest", "bilinear", "cubic"] as const) {
      for (const [from, to] of [
        [3, 10],
        [10, 3],
      ] as const) {
        const flat = resizePlane(new Float32Array(from * from).fill(0.25), [from, from], [to, to], kind);
        for (const value of flat) expect(value).toBeCloseTo(0.25, 6);
      }
    }
    const line = Float32Array.of(0, 1);
    expect([...resizePlane(line, [1, 2], [1, 4], "nearest")]).toEqual([0, 0, 1, 1]);
    expect([...resizePlane(line, [1, 2], [1, 4], "bilinear")]).toEqual([0, 0.25, 0.75, 1]);
    const shrunk = resizePlane(
      Float32Array.from({ length: 64 }, (_, i) => i % 2),
      [1, 64],
      [1, 8],
      "bilinear",
    );
    for (const value of shrunk.subarray(1, 7)) expect(value).toBeCloseTo(0.5, 6);
  });

  it("draws images and heat maps", () => {
    const canvas = new Canvas(2, 1, { density: 2, background: black });
    const image = { data: Float32Array.of(1, 0, 0.5, 0, 0, 2), shape: [3, 1, 2] };
    canvas.pixels(0, 0, 2, 1, imageShader(image, "nearest"));
    expect(pixel(canvas, 1, 1)).toEqual([255, 128, 0, 255]);
    expect(pixel(canvas, 2, 0)).toEqual([0, 0, 255, 255]);
    const heat = { data: Float32Array.of(0, 4), shape: [1, 2] };
    canvas.pixels(
      0,
      0,
      2,
      1,
      heatShader(heat, { map: "inferno", opacity: [0, 1], interpolation: "nearest" }),
    );
    expect(pixel(canvas, 0, 0)).toEqual([255, 128, 0, 255]);
    expect(pixel(canvas, 3, 1)).toEqual([0xfc, 0xff, 0xa4, 255]);
  });

  it("clips blocks that reach over the edge", () => {
    const canvas = new Canvas(2, 2, { background: black });
    canvas.pixels(-1, -1, 2, 2, () => (column, row) => (column === 1 && row === 1 ? [9, 9, 9] : [255, 0, 0]));
    expect(pixel(canvas, 0, 0)).toEqual([9, 9, 9, 255]);
    expect(total(canvas.data)).toBe(4 * 255 + 27);
  });

  it("refuses planes that are not what their shape says", () => {
    const data = new Float32Array(4);
    expect(() => imageShader({ data, shape: [2, 2] }, "nearest")).toThrow(
      /image: expected \[1 or 3, height, width\]/,
    );
    expect(() => imageShader({ data, shape: [1, 2, 3] }, "nearest")).toThrow(
      /found \[1, 2, 3\] with 4 values/,
    );
    expect(() => heatShader({ data, shape: [0, 4] }, { map: "inferno", opacity: [0, 1] })).toThrow(
      /heat map/,
    );
  });
});
