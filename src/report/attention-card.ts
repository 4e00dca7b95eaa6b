import { type Canvas, hex } from "./canvas.js";
import { type ColormapName, colormap } from "./colormap.js";
import { fitText, measureText } from "./font.js";
import { type HeatMap, heatShader, type ImagePlanes } from "./image.js";
import { drawImage } from "./image-tile.js";
import { resizePlane } from "./resize.js";
import { formatPercent } from "./units.js";

/** Values of one block's channel gates, one per channel. */
export interface ChannelGates {
  /** Module path or name of the block. */
  readonly name: string;
  readonly values: Float32Array;
}

/** One example: what the network saw, said and looked at. */
export interface AttentionRow {
  readonly image: ImagePlanes;
  /** True class. */
  readonly label: string | number;
  readonly prediction: string | number;
  /** Probability of the prediction in 0..1. */
  readonly confidence: number;
  /** Grad-CAM map; resized to the image. */
  readonly heat: HeatMap;
  readonly gates: readonly ChannelGates[];
}

/** Values that get the lowest and the highest colour of the gates, the same in all cards. */
export type GateScale = readonly [low: number, high: number];

export const heatColors: ColormapName = "inferno";
export const gateColors: ColormapName = "viridis";

export const palette = {
  page: hex("#0d1015"),
  card: hex("#161a21"),
  edge: hex("#272d37"),
  text: hex("#eef1f5"),
  muted: hex("#929ba8"),
  faint: hex("#3a424e"),
  accent: hex("#6cb6ff"),
  wrong: hex("#ff7a72"),
} as const;

const padding = 14;
const header = 30;
const tile = 112;
const tileGap = 8;
const inner = 2 * tile + tileGap;
const confidenceBar = 56;
const labelSize = 9.5;
const labelPitch = 13;

/** Width of a card. */
export const cardWidth = inner + 2 * padding;

/** Distance between gate strips: thinner where there are many blocks. */
function stripPitch(blocks: number): number {
  return blocks <= 12 ? labelPitch : blocks <= 24 ? 9 : 6;
}

/** Height of a card that shows `blocks` strips. */
export function cardHeight(blocks: number): number {
  const strips = blocks === 0 ? 0 : 12 + blocks * stripPitch(blocks) - 2;
  return padding + header + tile + strips + padding;
}

/** Block names without the leading and trailing path parts that all of them share. */
export function shortNames(names: readonly string[]): string[] {
  const parts = names.map((name) => name.split("."));
  const shortest = Math.min(...parts.map((p) => p.length));
  const shared = (at: (p: readonly string[], i: number) => string | undefined) => {
    let count = 0;
    while (count < shortest - 1 && parts.every((p) => at(p, count) === at(parts[0]!, count))) count++;
    return count;
  };
  if (names.length < 2) return [...names];
  const end = shared((p, i) => p.at(-1 - i));
  const start = Math.min(
    shared((p, i) => p[i]),
    shortest - 1 - end,
  );
  return parts.map((p) => p.slice(start, p.length - end).join("."));
}

/** Draws one example with its upper left corner at (x, y). */
export function drawCard(
  canvas: Canvas,
  row: AttentionRow,
  x: number,
  y: number,
  height: number,
  scale: GateScale,
): void {
  const wrong = String(row.label) !== String(row.prediction);
  canvas.rect(x, y, cardWidth, height, palette.card, 10);
  canvas.frame(x, y, cardWidth, height, wrong ? palette.wrong : palette.edge, wrong ? 1.5 : 1, 10);
  const [left, top] = [x + padding, y + padding];
  drawVerdict(canvas, row, left, top + 8, wrong);
  drawImage(canvas, row.image, { x: left, y: top + header, size: tile });
  const heat = heatShader(row.heat, { map: heatColors, opacity: [0.35, 0.85], interpolation: "cubic" });
  drawImage(canvas, row.image, { x: left + tile + tileGap, y: top + header, size: tile }, heat);
  if (row.gates.length > 0) drawGates(canvas, row.gates, left, top + header + tile + 12, scale);
}

/** Predicted class and confidence; the true class where it differs. The bar gives way to long class names. */
function drawVerdict(canvas: Canvas, row: AttentionRow, x: number, middle: number, wrong: boolean): void {
  const right = x + inner;
  const percent = formatPercent(row.confidence, 1);
  canvas.textMiddle(right, middle, percent, { size: 11.5, color: palette.muted, align: "right" });

  const said = String(row.prediction);
  const truth = wrong ? `is ${row.label}` : "";
  const size = said.length <= 3 ? 22 : 14;
  const truthWidth = wrong ? measureText(truth, 12, "medium") + 8 : 0;
  const barLeft = right - measureText("100.0 %", 11.5) - 8 - confidenceBar;
  const withBar = measureText(said, size, "medium") + truthWidth <= barLeft - 10 - x;
  if (withBar) {
    const share = row.confidence > 0 ? Math.min(row.confidence, 1) : 0;
    canvas.rect(barLeft, middle - 2, confidenceBar, 4, palette.faint, 2);
    canvas.rect(barLeft, middle - 2, confidenceBar * share, 4, wrong ? palette.wrong : palette.accent, 2);
  }
  const room = inner - measureText("100.0 %", 11.5) - 10;
  const saidText = fitText(said, Math.max(room - truthWidth, room / (wrong ? 2 : 1)), size, "medium");
  const width = canvas.textMiddle(x, middle, saidText, { size, color: palette.text, weight: "medium" });
  const truthText = fitText(truth, room - width - 8, 12, "medium");
  canvas.textMiddle(x + width + 8, middle, truthText, { size: 12, color: palette.wrong, weight: "medium" });
}

function drawGates(
  canvas: Canvas,
  gates: readonly ChannelGates[],
  x: number,
  y: number,
  scale: GateScale,
): void {
  const names = shortNames(gates.map((g) => g.name));
  const widest = Math.max(...names.map((name) => measureText(name, labelSize)));
  const labelWidth = Math.min(widest, 72);
  const pitch = stripPitch(gates.length);
  const height = pitch - (pitch > 6 ? 3 : 1);
  const labelEvery = Math.ceil(labelPitch / pitch);
  const left = x + labelWidth + 8;
  for (const [i, { values }] of gates.entries()) {
    const top = y + i * pitch;
    drawStrip(canvas, values, left, top, x + inner - left, height, scale);
    if (i % labelEvery !== 0) continue;
    const name = fitText(names[i]!, labelWidth, labelSize);
    canvas.textMiddle(x, top + height / 2, name, { size: labelSize, color: palette.muted });
  }
}

/** One cell per channel; neighbours are averaged where there are more channels than device pixels. */
function drawStrip(
  canvas: Canvas,
  values: Float32Array,
  x: number,
  y: number,
  width: number,
  height: number,
  [low, high]: GateScale,
): void {
  const color = colormap(gateColors);
  canvas.pixels(x, y, width, height, (columns) => {
    const shrinks = values.length > columns;
    const line = resizePlane(values, [1, values.length], [1, columns], shrinks ? "bilinear" : "nearest");
    return (column) => color(high > low ? (line[column]! - low) / (high - low) : 0.5);
  });
}
