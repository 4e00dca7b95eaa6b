import { OptionError } from "../base/errors.js";
import { type ChartTheme, colorCount } from "./chart-style.js";
import { escapeXml, estimateWidth, headHeight, pageMargin, coordinate as r, svgPage } from "./svg-page.js";

/** A part of what is divided; what its own parts leave of its value is its own share. */
export interface FlamePart {
  readonly name: string;
  /** Not below the sum of its parts. */
  readonly value: number;
  /** Index of a series colour. */
  readonly color: number;
  readonly parts: readonly FlamePart[];
}

/** What a flame chart shows. */
export interface FlameChartOptions {
  readonly title: string;
  readonly subtitle?: string;
  readonly root: FlamePart;
  /** A value as it is written. */
  readonly format: (value: number) => string;
  /** What the colours stand for, by index. */
  readonly legend?: readonly string[];
  /** "auto" follows the reader's light or dark setting; default. */
  readonly theme?: ChartTheme;
}

const chartWidth = 1144;
const rowHeight = 22;
/** Parts that are narrower than this cannot be seen. */
const leastWidth = 0.4;

/**
 * Nested shares as an SVG document: a row per level, the whole at the top, each part below the one that it belongs to and as wide as its
 * share. Names and values appear where the pointer rests.
 * @throws OptionError for a value that is not positive at the root, is below zero, or is less than its parts' sum
 */
export function flameChart({ title, subtitle, root, format, legend = [], theme }: FlameChartOptions): string {
  if (!(root.value > 0 && root.value < Infinity)) {
    throw new OptionError(`flame chart: the whole is ${root.value}; it must be above 0`);
  }
  const top = headHeight(subtitle) + (legend.length > 0 ? 26 : 0);
  const body = [...drawLegend(legend, headHeight(subtitle))];
  let depth = 0;
  const draw = (part: FlamePart, left: number, row: number): void => {
    const sum = part.parts.reduce((total, { value }) => total + value, 0);
    if (!(part.value >= 0) || sum > part.value * (1 + 1e-9)) {
      throw new OptionError(`flame chart: ${JSON.stringify(part.name)} is ${part.value}, its parts ${sum}`);
    }
    const width = (part.value / root.value) * chartWidth;
    if (width < leastWidth) return;
    depth = Math.max(depth, row + 1);
    body.push(drawPart(part, left, top + row * rowHeight, width));
    let next = left;
    for (const child of [...part.parts].sort((a, b) => b.value - a.value)) {
      draw(child, next, row + 1);
      next += (child.value / root.value) * chartWidth;
    }
  };
  const drawPart = ({ name, value, color }: FlamePart, left: number, y: number, width: number): string => {
    const share = `${((100 * value) / root.value).toFixed(1)} %`;
    const full = `${name}: ${format(value)}, ${share}`;
    const inset = Math.min(0.5, width / 4);
    const shown = [full, `${name} ${share}`, name].find((text) => estimateWidth(text, 12) < width - 8);
    const label =
      shown && `<text class="label" x="${r(left + 4)}" y="${r(y + 15)}">${escapeXml(shown)}</text>`;
    return `<g><title>${escapeXml(full)}</title><rect class="f${color % colorCount}" fill-opacity=".35" x="${r(left + inset)}" y="${r(y)}" width="${r(width - 2 * inset)}" height="${rowHeight - 2}"/>${label ?? ""}</g>`;
  };
  draw(root, pageMargin, 0);
  const largest = [...root.parts].sort((a, b) => b.value - a.value).slice(0, 5);
  const description = [root, ...largest].map(({ name, value }) => `${name} ${format(value)}`).join(", ");
  const height = top + depth * rowHeight + pageMargin;
  return svgPage({ title, subtitle, description, width: chartWidth + 2 * pageMargin, height, body, theme });
}

function drawLegend(entries: readonly string[], top: number): string[] {
  let left = pageMargin;
  return entries.map((entry, color) => {
    const mark = `<rect class="f${color % colorCount}" fill-opacity=".35" x="${r(left)}" y="${r(top - 10)}" width="12" height="12"/>`;
    const text = `<text class="tick" x="${r(left + 18)}" y="${r(top)}">${escapeXml(entry)}</text>`;
    left += 18 + estimateWidth(entry, 11) + 18;
    return mark + text;
  });
}
