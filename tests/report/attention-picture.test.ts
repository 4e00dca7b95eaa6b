import { describe, expect, it } from "vitest";
import { cardHeight, cardWidth, shortNames } from "../../src/report/attention-card.js";
import { type AttentionRow, attentionPicture } from "../../src/report/attention-picture.js";
import type { Canvas } from "../../src/report/canvas.js";

function row(change: Partial<AttentionRow> = {}, blocks = 2): AttentionRow {
  return {
    image: { data: new Float32Array(784).fill(1), shape: [1, 28, 28] },
    label: 3,
    prediction: 3,
    confidence: 0.9,
    heat: { data: Float32Array.from({ length: 49 }, (_, i) => (i === 24 ? 1 : 0)), shape: [7, 7] },
    gates: Array.from({ length: blocks }, (_, b) => ({
      name: `layer${b}.0.se.attention`,
      values: Float32Array.from({ length: 16 }, (_, i) => i / 15),
    })),
    ...change,
  };
}

function count(canvas: Canvas, test: (r: number, g: number, b: number) => boolean): number {
  let found = 0;
  for (let i = 0; i < canvas.data.length; i += 4) {
    if (test(canvas.data[i]!, canvas.data[i + 1]!, canvas.data[i + 2]!)) found++;
  }
  return found;
}

const isWrongColor = (r: number, g: number, b: number) => r === 255 && g === 122 && b === 114;
const options = { title: "Test", density: 1 };

describe("attention picture", () => {
  it.each([
    [1, 1, 1],
    [3, 3, 1],
    [5, 3, 2],
    [12, 4, 3],
    [20, 5, 4],
    [24, 6, 4],
  ])("lays %d rows out as %d by %d cards", (rows, columns, lines) => {
    const canvas = attentionPicture(
      Array.from({ length: rows }, () => row()),
      options,
    );
    expect(canvas.width).toBe(columns * (cardWidth + 16) - 16 + 80);
    expect(canvas.height).toBeGreaterThan(lines * (cardHeight(2) + 16));
    expect(canvas.height).toBeLessThan(lines * (cardHeight(2) + 16) + 460);
    expect(count(canvas, () => true)).toBe(canvas.data.length / 4);
    expect(canvas.data.every((value, i) => i % 4 !== 3 || value === 255)).toBe(true);
  });

  it("shows the image, the peak of the map and the ends of the gates' scale", () => {
    const canvas = attentionPicture([row()], options);
    // the whole input tile is white
    expect(count(canvas, (r, g, b) => r === 255 && g === 255 && b === 255)).toBeGreaterThanOrEqual(112 * 112);
    // viridis 0 and 1 stand in both strips (cells of 10 pixels or more, 10 high) and in the legend
    for (const [red, green, blue] of [
      [0x44, 0x01, 0x54],
      [0xfd, 0xe7, 0x25],
    ]) {
      expect(count(canvas, (r, g, b) => r === red && g === green && b === blue)).toBeGreaterThan(2 * 100);
    }
  });

  it("lays the heat where the map is high", () => {
    const tileLeft = 40 + 14 + 112 + 8;
    const tileTop = 40 + 34 + 18 + 14 + 30;
    const peak = (at: number) => {
      const data = Float32Array.from({ length: 49 }, (_, i) => (i === at ? 1 : 0));
      const image = { data: new Float32Array(784), shape: [1, 28, 28] };
      const canvas = attentionPicture([row({ image, heat: { data, shape: [7, 7] } }, 0)], options);
      let [best, where] = [-1, [0, 0]];
      for (let y = 0; y < 112; y++) {
        for (let x = 0; x < 112; x++) {
          const i = ((tileTop + y) * canvas.width + tileLeft + x) * 4;
          const light = canvas.data[i]! + canvas.data[i + 1]! + canvas.data[i + 2]!;
          if (light > best) [best, where] = [light, [x, y]];
        }
      }
      return where.map((v) => Math.floor(v! / 16));
    };
    expect(peak(0)).toEqual([0, 0]);
    expect(peak(24)).toEqual([3, 3]);
    expect(peak(13)).toEqual([6, 1]);
  });

  it("marks wrong predictions only", () => {
    expect(count(attentionPicture([row()], options), isWrongColor)).toBe(0);
    const wrong = attentionPicture([row({ prediction: 5 })], options);
    expect(count(wrong, isWrongColor)).toBeGreaterThan(2 * (cardWidth + cardHeight(2)) - 80);
    expect(count(attentionPicture([row({ label: "3" })], options), isWrongColor)).toBe(0);
  });

  it("takes any image size, block count and name length", () => {
    const names = { label: "flat-coated retriever", prediction: "golden retriever with a very long name" };
    const image = { data: new Float32Array(3 * 90 * 224).fill(0.5), shape: [3, 90, 224] };
    const rows = [row({ ...names, image }, 60), row({}, 0), row({ confidence: Number.NaN }, 13)];
    const canvas = attentionPicture(rows, {
      ...options,
      title: "A title that is much longer than its page ".repeat(5),
    });
    expect(canvas.height).toBeGreaterThan(cardHeight(60));
    // nothing reaches into the right margin
    let stray = 0;
    for (let y = 0; y < canvas.height; y++) {
      for (let x = canvas.width - 38; x < canvas.width; x++)
        if (canvas.data[(y * canvas.width + x) * 4] !== 13) stray++;
    }
    expect(stray).toBe(0);
  });

  it("puts equal gates on a scale from 0 to 1", () => {
    const gates = [{ name: "se", values: new Float32Array(4).fill(0.5) }];
    const canvas = attentionPicture([row({ gates })], options);
    expect(
      count(canvas, (r, g, b) => r === 0x21 && Math.abs(g - 0x91) < 2 && Math.abs(b - 0x8c) < 2),
    ).toBeGreaterThan(900);
  });

  it("shortens names by what they share", () => {
    expect(shortNames(["layer1.0.se.attention", "layer2.1.se.attention"])).toEqual(["layer1.0", "layer2.1"]);
    expect(shortNames(["net.a.se", "net.b.se"])).toEqual(["a", "b"]);
    expect(shortNames(["se", "se"])).toEqual(["se", "se"]);
    expect(shortNames(["only.one"])).toEqual(["only.one"]);
    expect(shortNames(["a.b", "a.b.c"])).toEqual(["b", "b.c"]);
  });

  it("refuses no rows, bad images and bad columns", () => {
    expect(() => attentionPicture([], options)).toThrow(/expected 1 to 400 rows; found 0/);
    const image = { data: new Float32Array(4), shape: [1, 28, 28] };
    expect(() => attentionPicture([row({ image })], options)).toThrow(
      /image: .*found \[1, 28, 28\] with 4 values/,
    );
    const heat = { data: new Float32Array(4), shape: [4] };
    expect(() => attentionPicture([row({ heat })], options)).toThrow(/heat map: .*found \[4\]/);
    expect(() => attentionPicture([row()], { ...options, columns: 0 })).toThrow(/columns: .*found 0/);
  });
});
