import { DataError, OptionError } from "../base/errors.js";
import {
  type AttentionRow,
  cardHeight,
  cardWidth,
  drawCard,
  type GateScale,
  gateColors,
  heatColors,
  palette,
} from "./attention-card.js";
import { Canvas } from "./canvas.js";
import { type ColormapName, colormap } from "./colormap.js";
import { wrapText } from "./font.js";
import { type HeadingWords, layOutHeading } from "./heading.js";

export type { AttentionRow, ChannelGates } from "./attention-card.js";

/** Words and layout of the picture. */
export interface AttentionPictureOptions extends HeadingWords {
  /** Cards a line; chosen by the number of rows where absent. */
  readonly columns?: number;
  /** Device pixels per logical pixel; default 2. */
  readonly density?: number;
  /** What the heat map is; default "Grad-CAM". */
  readonly heatName?: string;
}

const margin = 40;
const gap = 16;
const headingStyle = { title: { size: 26, line: 34 }, subtitle: { size: 13.5, line: 20 }, below: 18 };
const legendTextSize = 11.5;
const legendMinWidth = 230;
const legendMaxWidth = 300;
const maxRows = 400;

interface LegendEntry {
  readonly title: string;
  readonly text: string;
  /** Colour bar with the words at its ends; a wrong card's frame where absent. */
  readonly bar?: { readonly map: ColormapName; readonly low: string; readonly high: string };
}

/**
 * A gallery of what a network saw, said and looked at: each card shows the image, the heat map over it, prediction and
 * confidence, and the channel gates of every block on one common scale. Wrong predictions are framed.
 * @throws DataError without rows or above 400; ShapeError for images or maps that do not hold what their shape says;
 *   OptionError for a number of columns that is not a positive integer.
 */
export function attentionPicture(rows: readonly AttentionRow[], options: AttentionPictureOptions): Canvas {
  if (rows.length === 0 || rows.length > maxRows) {
    throw new DataError(`attention picture: expected 1 to ${maxRows} rows; found ${rows.length}`);
  }
  const columns = Math.min(options.columns ?? chooseColumns(rows.length), rows.length);
  if (!Number.isInteger(columns) || columns < 1) {
    throw new OptionError(`columns: expected a positive integer; found ${options.columns}`);
  }
  const width = columns * (cardWidth + gap) - gap;
  const heading = layOutHeading(options, headingStyle, width);
  const scale = gateScale(rows);
  const legend = layOutLegend(legendEntries(rows, scale, options.heatName ?? "Grad-CAM"), width);

  const height = cardHeight(Math.max(...rows.map((row) => row.gates.length)));
  const gallery = Math.ceil(rows.length / columns) * (height + gap) - gap;
  const top = margin + heading.height;
  const canvas = new Canvas(width + 2 * margin, top + gallery + 28 + legend.height + margin, {
    density: options.density ?? 2,
    background: palette.page,
  });

  heading.draw(canvas, margin, margin);
  for (const [i, row] of rows.entries()) {
    const left = margin + (i % columns) * (cardWidth + gap);
    drawCard(canvas, row, left, top + Math.floor(i / columns) * (height + gap), height, scale);
  }
  legend.draw(canvas, margin, top + gallery + 28);
  return canvas;
}

/** A gallery somewhat wider than high, its last line as full as can be. */
function chooseColumns(count: number): number {
  if (count <= 4) return count;
  const widest = count <= 12 ? 4 : count <= 30 ? 6 : 10;
  const candidates = [widest, widest - 1];
  const missing = (columns: number) => (columns - (count % columns)) % columns;
  return candidates.reduce((best, c) => (missing(c) < missing(best) ? c : best));
}

/** Range of all gates, rounded outwards to a readable step. */
function gateScale(rows: readonly AttentionRow[]): GateScale {
  let [low, high] = [Infinity, -Infinity];
  for (const { gates } of rows) {
    for (const { values } of gates) {
      for (const value of values) {
        if (!Number.isFinite(value)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (!(high >= low)) return [0, 1];
  if (high - low < 1e-6) return [Math.min(0, Math.floor(low)), Math.max(1, Math.ceil(high))];
  const step = 10 ** Math.floor(Math.log10(high - low)) / 2;
  return [Math.floor(low / step + 1e-6) * step, Math.ceil(high / step - 1e-6) * step];
}

function legendEntries(rows: readonly AttentionRow[], scale: GateScale, heatName: string): LegendEntry[] {
  const entries: LegendEntry[] = [
    {
      title: `${heatName}: where the network looks`,
      text: "Left the input, right the regions that speak for the predicted class, each map on its own scale.",
      bar: { map: heatColors, low: "none", high: "most" },
    },
  ];
  if (rows.some((row) => row.gates.length > 0)) {
    const digits = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(scale[1] - scale[0]))));
    entries.push({
      title: "Channel gates: what the network lets through",
      text: "A strip per block, from first to last; a cell per channel, all on one scale.",
      bar: { map: gateColors, low: scale[0].toFixed(digits), high: scale[1].toFixed(digits) },
    });
  }
  if (rows.some((row) => String(row.label) !== String(row.prediction))) {
    entries.push({
      title: "Wrong prediction",
      text: "Framed, with the true class beside the predicted one.",
    });
  }
  return entries;
}

/** Places legend entries side by side as far as the width allows. */
function layOutLegend(entries: readonly LegendEntry[], width: number) {
  const apart = 2 * gap;
  const columns = Math.max(
    1,
    Math.min(entries.length, Math.floor((width + apart) / (legendMinWidth + apart))),
  );
  const entryWidth = Math.min(legendMaxWidth, (width + apart) / columns - apart);
  const placed = entries.map((entry) => ({
    entry,
    title: wrapText(entry.title, entryWidth, legendTextSize, "medium"),
    text: wrapText(entry.text, entryWidth, legendTextSize),
  }));
  const entryHeight = Math.max(...placed.map((p) => 24 + (p.title.length + p.text.length) * 16));
  const lines = Math.ceil(entries.length / columns);
  const draw = (canvas: Canvas, left: number, top: number) => {
    for (const [i, { entry, title, text }] of placed.entries()) {
      const x = left + (i % columns) * (entryWidth + apart);
      let y = top + Math.floor(i / columns) * (entryHeight + gap);
      drawKey(canvas, entry, x, y);
      y += 20;
      for (const [list, color, weight] of [
        [title, palette.text, "medium"],
        [text, palette.muted, "regular"],
      ] as const) {
        for (const line of list) {
          y += 16;
          canvas.text(x, y, line, { size: legendTextSize, color, weight });
        }
      }
    }
  };
  return { height: lines * (entryHeight + gap) - gap, draw };
}

function drawKey(canvas: Canvas, { bar }: LegendEntry, x: number, y: number): void {
  if (bar === undefined) {
    canvas.frame(x, y, 22, 12, palette.wrong, 1.5, 4);
    return;
  }
  const style = { size: legendTextSize, color: palette.muted };
  const left = x + canvas.textMiddle(x, y + 6, bar.low, style) + 8;
  const color = colormap(bar.map);
  canvas.pixels(left, y + 1, 130, 10, (columns) => (column) => color(column / (columns - 1)));
  canvas.textMiddle(left + 138, y + 6, bar.high, style);
}
