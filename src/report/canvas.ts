import { OptionError } from "../base/errors.js";
import type { Rgb } from "./colormap.js";
import { capHeight, type FontWeight, measureText, textOutlines } from "./font.js";
import { coverage, type Polygon, reversed, roundedRectangle, thickLine } from "./path.js";

/** sRGB colour with an optional opacity in 0..1. */
export type Color = Rgb | readonly [red: number, green: number, blue: number, alpha: number];

/** Colour of a position within a pixel block; null leaves the canvas as it is. */
export type Shader = (column: number, row: number) => Color | null;

/** How a line of text is set. */
export interface TextStyle {
  /** Font size in logical pixels. */
  readonly size: number;
  readonly color: Color;
  readonly weight?: FontWeight;
  /** Which point of the line `x` gives; default "left". */
  readonly align?: "left" | "center" | "right";
}

const maxSide = 16_384;
const maxPixels = 2 ** 27;

/** Colour of `#rrggbb`, with an optional opacity. */
export function hex(text: string, alpha = 1): Color {
  if (!/^#[0-9a-f]{6}$/i.test(text))
    throw new OptionError(`color: expected #rrggbb; found ${JSON.stringify(text)}`);
  const channel = (at: number) => Number.parseInt(text.slice(at, at + 2), 16);
  return [channel(1), channel(3), channel(5), alpha];
}

/**
 * A picture in memory: RGBA, 8 bits a channel, straight alpha, row-major (the layout of `ImageData`). Coordinates are
 * logical pixels; `density` device pixels make one. Shapes are antialiased and blended over what is there; nothing
 * depends on fonts of the system.
 */
export class Canvas {
  readonly density: number;
  /** Device pixels per row. */
  readonly width: number;
  /** Rows of device pixels. */
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;

  /**
   * @param width logical pixels
   * @param height logical pixels
   * @throws OptionError for sizes that are not positive, above 16,384 on a side or above 2^27 pixels.
   */
  constructor(width: number, height: number, options: { density?: number; background?: Color } = {}) {
    this.density = options.density ?? 1;
    this.width = Math.round(width * this.density);
    this.height = Math.round(height * this.density);
    const valid = (size: number) => size >= 1 && size <= maxSide;
    if (!valid(this.width) || !valid(this.height) || this.width * this.height > maxPixels) {
      throw new OptionError(
        `canvas: expected 1 to ${maxSide} pixels a side and at most ${maxPixels} in all; found ${this.width} x ${this.height}`,
      );
    }
    this.data = new Uint8ClampedArray(this.width * this.height * 4);
    const [red, green, blue, alpha = 1] = options.background ?? [0, 0, 0, 0];
    const pixel = Uint8ClampedArray.of(red, green, blue, alpha * 255);
    new Uint32Array(this.data.buffer).fill(new Uint32Array(pixel.buffer)[0]!);
  }

  /** Fills closed polygons given in logical pixels; holes run against their outline. */
  fill(polygons: readonly Polygon[], color: Color): void {
    const device = polygons.map((polygon) => polygon.map((v) => v * this.density));
    const area = coverage(device, this.width, this.height);
    if (area === null) return;
    const alpha = color[3] ?? 1;
    for (let i = 0; i < area.values.length; i++) {
      const share = area.values[i]! * alpha;
      if (share > 0)
        this.#blend(area.x + (i % area.width), area.y + Math.floor(i / area.width), color, share);
    }
  }

  /** A filled rectangle, its corners rounded where `radius` is given. */
  rect(x: number, y: number, width: number, height: number, color: Color, radius = 0): void {
    if (width > 0 && height > 0) this.fill([roundedRectangle(x, y, width, height, radius)], color);
  }

  /** The frame of a rectangle, drawn inwards from its edge. */
  frame(x: number, y: number, width: number, height: number, color: Color, thickness = 1, radius = 0): void {
    if (!(width > 2 * thickness && height > 2 * thickness)) {
      this.rect(x, y, width, height, color, radius);
      return;
    }
    const t = thickness;
    const inner = roundedRectangle(x + t, y + t, width - 2 * t, height - 2 * t, Math.max(0, radius - t));
    this.fill([roundedRectangle(x, y, width, height, radius), reversed(inner)], color);
  }

  /** A straight line. */
  line(x0: number, y0: number, x1: number, y1: number, color: Color, thickness = 1): void {
    this.fill([thickLine(x0, y0, x1, y1, thickness)], color);
  }

  /** A line of text on the baseline `y`. @returns its width */
  text(x: number, y: number, text: string, style: TextStyle): number {
    const weight = style.weight ?? "regular";
    const width = measureText(text, style.size, weight);
    const shift = style.align === "right" ? width : style.align === "center" ? width / 2 : 0;
    for (const glyph of textOutlines(text, x - shift, y, style.size, weight)) this.fill(glyph, style.color);
    return width;
  }

  /** A line of text whose capitals and digits are centred on the height `y`. @returns its width */
  textMiddle(x: number, y: number, text: string, style: TextStyle): number {
    return this.text(x, y + (capHeight * style.size) / 2, text, style);
  }

  /**
   * Colours a block of device pixels one by one, as heat maps and images need: `shade` gets column and row from 0 and
   * the block's device size as `columns` and `rows`.
   */
  pixels(
    x: number,
    y: number,
    width: number,
    height: number,
    shader: (columns: number, rows: number) => Shader,
  ): void {
    const [left, top] = [Math.round(x * this.density), Math.round(y * this.density)];
    const columns = Math.round((x + width) * this.density) - left;
    const rows = Math.round((y + height) * this.density) - top;
    if (columns < 1 || rows < 1) return;
    const shade = shader(columns, rows);
    for (let row = Math.max(0, -top); row < Math.min(rows, this.height - top); row++) {
      for (let column = Math.max(0, -left); column < Math.min(columns, this.width - left); column++) {
        const color = shade(column, row);
        if (color !== null) this.#blend(left + column, top + row, color, color[3] ?? 1);
      }
    }
  }

  /** Source-over blending of one device pixel. */
  #blend(x: number, y: number, color: Color, alpha: number): void {
    const at = (y * this.width + x) * 4;
    const below = (this.data[at + 3]! / 255) * (1 - alpha);
    const total = alpha + below;
    if (total <= 0) return;
    for (let c = 0; c < 3; c++) {
      this.data[at + c] = (color[c]! * alpha + this.data[at + c]! * below) / total;
    }
    this.data[at + 3] = total * 255;
  }
}
