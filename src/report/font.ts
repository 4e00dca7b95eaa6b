import { type GlyphOutline, robotoMedium, robotoRegular } from "./generated/roboto.js";
import type { Polygon } from "./path.js";

/** Weight of the built-in sans-serif face. */
export type FontWeight = "regular" | "medium";

/** Height of capitals and digits as a share of the font size. */
export const capHeight = 0.711;

const faces = { regular: robotoRegular, medium: robotoMedium } as const;
const unitsPerEm = 1000;

function glyph(character: string, weight: FontWeight): GlyphOutline {
  const face = faces[weight];
  return Object.hasOwn(face, character) ? face[character]! : face["\0"]!;
}

/** Characters as drawn: canonically composed, white space and controls as spaces. */
function characters(text: string): string[] {
  return [...text.normalize("NFC").replace(/[\s\p{Cc}]/gu, " ")];
}

/** Advance width of a line of text in pixels. */
export function measureText(text: string, size: number, weight: FontWeight = "regular"): number {
  return (characters(text).reduce((sum, c) => sum + glyph(c, weight)[0], 0) / unitsPerEm) * size;
}

/** `text`, cut with an ellipsis where it is wider than `maxWidth` pixels; empty where not even that fits. */
export function fitText(
  text: string,
  maxWidth: number,
  size: number,
  weight: FontWeight = "regular",
): string {
  if (measureText(text, size, weight) <= maxWidth) return text;
  const list = characters(text);
  while (list.length > 0) {
    list.pop();
    const cut = `${list.join("").trimEnd()}…`;
    if (measureText(cut, size, weight) <= maxWidth) return cut;
  }
  return "";
}

/** `text` broken at spaces into lines of at most `maxWidth` pixels; a longer word is cut with an ellipsis. */
export function wrapText(
  text: string,
  maxWidth: number,
  size: number,
  weight: FontWeight = "regular",
): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter((w) => w !== "")) {
    const line = lines.at(-1);
    const longer = line === undefined ? word : `${line} ${word}`;
    if (line !== undefined && measureText(longer, size, weight) <= maxWidth) lines[lines.length - 1] = longer;
    else lines.push(fitText(word, maxWidth, size, weight));
  }
  return lines;
}

/** Outlines of a line of text that starts at `x` on the baseline `y`. */
export function textOutlines(
  text: string,
  x: number,
  y: number,
  size: number,
  weight: FontWeight,
): Polygon[][] {
  const scale = size / unitsPerEm;
  let pen = x;
  return characters(text).map((character) => {
    const [advance, path] = glyph(character, weight);
    const polygons = outline(path, pen, y, scale);
    pen += advance * scale;
    return polygons;
  });
}

/** Flattens path data (relative m, l, q, z; y upwards) to polygons in pixels. */
function outline(path: string, originX: number, originY: number, scale: number): Polygon[] {
  const polygons: number[][] = [];
  let [x, y] = [0, 0];
  for (const [, command, values] of path.matchAll(/([mlqz])([^mlqz]*)/g)) {
    const numbers = (values!.match(/-?\d+/g) ?? []).map(Number);
    const [endX, endY] = [x + (numbers.at(-2) ?? 0), y + (numbers.at(-1) ?? 0)];
    if (command === "m") polygons.push([]);
    const steps = command === "q" ? curveSteps(numbers, scale) : command === "z" ? 0 : 1;
    for (let i = 1; i <= steps; i++) {
      const t = i / steps;
      const bend = command === "q" ? 2 * t * (1 - t) : 0;
      const along = command === "q" ? t * t : t;
      const px = x + bend * (numbers[0] ?? 0) + along * (endX - x);
      const py = y + bend * (numbers[1] ?? 0) + along * (endY - y);
      polygons.at(-1)!.push(originX + px * scale, originY - py * scale);
    }
    [x, y] = [endX, endY];
  }
  return polygons;
}

/** Steps that keep a quadratic curve within a twentieth of a pixel of its chords. */
function curveSteps(numbers: readonly number[], scale: number): number {
  const [cx, cy, ex, ey] = numbers as [number, number, number, number];
  const deviation = (Math.hypot(ex - 2 * cx, ey - 2 * cy) / 4) * scale;
  return Math.max(1, Math.ceil(Math.sqrt(deviation / 0.05)));
}
