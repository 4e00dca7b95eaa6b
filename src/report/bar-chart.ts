import { OptionError } from "../base/errors.js";
import { type ChartTheme, colorCount } from "./chart-style.js";
import { escapeXml, estimateWidth, headHeight, pageMargin, coordinate as r, svgPage } from "./svg-page.js";

/** A measured value with the range that it was measured in. */
export interface BarValue {
  readonly value: number;
  readonly range?: readonly [low: number, high: number];
}

/** One quantity of every row, on a scale of its own that begins at zero. */
export interface BarPanel {
  readonly title: string;
  /** One per row, none below zero; null where it is not known. */
  readonly values: readonly (BarValue | null)[];
  /** A value as it is written beside its bar. */
  readonly format: (value: number) => string;
}

/** What a bar chart shows. */
export interface BarChartOptions {
  readonly title: string;
  readonly subtitle?: string;
  /** What is compared. */
  readonly rows: readonly string[];
  readonly panels: readonly BarPanel[];
  /** "auto" follows the reader's light or dark setting; default. */
  readonly theme?: ChartTheme;
}

const rowHeight = 26;
const barHeight = 14;
const barWidth = 150;
const panelGap = 28;

/**
 * Horizontal bars as an SVG document: a line per row, a column per panel, a thin line over a bar for the range of its value.
 * @throws OptionError without rows or panels, for a panel without one value per row, or a value below zero.
 */
export function barChart({ title, subtitle, rows, panels, theme }: BarChartOptions): string {
  if (rows.length === 0 || panels.length === 0)
    throw new OptionError("bar chart: expected rows and panels; found none");
  const top = headHeight(subtitle) + 24;
  const height = top + rows.length * rowHeight + pageMargin;
  const labels = rows.map(
    (row, i) => `<text class="label" x="${pageMargin}" y="${r(center(top, i) + 4)}">${escapeXml(row)}</text>`,
  );
  let left = pageMargin + Math.max(...rows.map((row) => estimateWidth(row, 12))) + 16;
  const body = [...labels];
  for (const [index, panel] of panels.entries()) {
    const { svg, width } = drawPanel(panel, { rows: rows.length, left, top, color: index % colorCount });
    body.push(svg);
    left += width + panelGap;
  }
  const description = panels.map(
    ({ title: name, values, format }) =>
      `${name}: ${rows.map((row, i) => `${row} ${values[i] ? format(values[i].value) : "unknown"}`).join(", ")}`,
  );
  const width = Math.ceil(left - panelGap + pageMargin);
  return svgPage({ title, subtitle, description: description.join("; "), width, height, body, theme });
}

/** Middle of a row. */
function center(top: number, row: number): number {
  return top + (row + 0.5) * rowHeight;
}

function drawPanel(
  { title, values, format }: BarPanel,
  place: { rows: number; left: number; top: number; color: number },
): { svg: string; width: number } {
  const { rows, left, top, color } = place;
  const known = values.filter((entry) => entry !== null);
  const ends = known.flatMap(({ value, range }) => [value, ...(range ?? [])]);
  if (values.length !== rows || ends.some((value) => !(value >= 0 && value < Infinity))) {
    throw new OptionError(
      `bar chart panel ${JSON.stringify(title)}: expected ${rows} values >= 0; found ${ends.join(", ") || "none"}`,
    );
  }
  const scale = barWidth / (Math.max(...ends) || 1);
  const texts = values.map((entry) => (entry ? format(entry.value) : "n/a"));
  const bars = values.flatMap((entry, row) => {
    const y = center(top, row);
    const end = left + scale * (entry ? Math.max(entry.value, entry.range?.[1] ?? 0) : 0);
    const text = `<text class="tick" x="${r(end + 6)}" y="${r(y + 4)}">${escapeXml(texts[row]!)}</text>`;
    if (!entry) return [text];
    const { value, range } = entry;
    const bar = `<rect class="f${color}" x="${r(left)}" y="${r(y - barHeight / 2)}" width="${r(scale * value)}" height="${barHeight}"/>`;
    const spread = range
      ? [`<path class="axis" d="M${r(left + scale * range[0])} ${r(y)}H${r(left + scale * range[1])}"/>`]
      : [];
    return [bar, ...spread, text];
  });
  const heading = `<text class="heading" x="${r(left)}" y="${r(top - 10)}">${escapeXml(title)}</text>`;
  const baseline = `<path class="axis" d="M${r(left)} ${r(top)}V${r(top + rows * rowHeight)}"/>`;
  const textWidth = Math.max(...texts.map((text) => estimateWidth(text, 11)));
  return {
    svg: [`<g>${heading}${baseline}`, ...bars, "</g>"].join("\n"),
    width: Math.max(barWidth + 6 + textWidth, estimateWidth(title, 13)),
  };
}
