import { OptionError } from "../base/errors.js";
import { type ChartTheme, colorCount } from "./chart-style.js";
import { linePath, type Point, smoothed, thinned } from "./series.js";
import { escapeXml, estimateWidth, headHeight, pageMargin, coordinate as r, svgPage } from "./svg-page.js";
import { type Axis, axis } from "./ticks.js";
import { formatPercent, formatValue } from "./units.js";

/** One quantity over steps or epochs. */
export interface ChartSeries {
  readonly name: string;
  readonly x: ArrayLike<number>;
  /** Same length as `x`; NaN leaves a gap. */
  readonly y: ArrayLike<number>;
  /** "points" marks each value and joins them, as for evaluations; default "line". */
  readonly mark?: "line" | "points";
  /** Weight of a neighbour in 0..1: shows the values as a light line and their weighted mean over it. Default 0. */
  readonly smoothing?: number;
  /** Number of the colour; default the position among the panel's series. */
  readonly color?: number;
}

/** A plot with axes of its own. */
export interface ChartPanel {
  readonly title: string;
  readonly series: readonly ChartSeries[];
  /** Logarithmic values; those not above zero are left out. */
  readonly log?: boolean;
  /** Values in 0..1 that read as percentages. */
  readonly percent?: boolean;
  /** Values that the panel spans; what lies outside is cut off. Default: all values. */
  readonly range?: readonly [low: number, high: number];
}

/** What a chart shows and how large. */
export interface ChartOptions {
  readonly title: string;
  readonly subtitle?: string;
  readonly panels: readonly ChartPanel[];
  /** What x counts, such as "step". */
  readonly xLabel: string;
  /** Width in pixels; default 960 for several panels, 640 for one. */
  readonly width?: number;
  /** "auto" follows the reader's light or dark setting; default. */
  readonly theme?: ChartTheme;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const panelHeight = 330;
const panelGap = 36;

/**
 * A line chart as an SVG document: one or more panels side by side (two a line) over a common kind of x.
 * Uses the reader's sans-serif font, follows light and dark settings, and carries a title and a description of the last
 * values for screen readers.
 * @throws OptionError without panels, or for series whose x and y differ in length.
 */
export function chart(options: ChartOptions): string {
  const { panels, title, subtitle } = options;
  if (panels.length === 0) throw new OptionError("chart: expected at least one panel; found none");
  const columns = Math.min(2, panels.length);
  const width = options.width ?? (columns === 1 ? 640 : 960);
  const panelWidth = (width - 2 * pageMargin - (columns - 1) * panelGap) / columns;
  if (!(panelWidth >= 160))
    throw new OptionError(`chart width: expected at least 160 a panel; found ${panelWidth}`);

  const head = headHeight(subtitle);
  const lines = Math.ceil(panels.length / columns);
  const height = head + lines * (panelHeight + panelGap) - panelGap + pageMargin / 2;
  const body = panels.map((panel, i) => {
    const box = {
      x: pageMargin + (i % columns) * (panelWidth + panelGap),
      y: head + Math.floor(i / columns) * (panelHeight + panelGap),
      width: panelWidth,
      height: panelHeight,
    };
    return drawPanel(panel, options.xLabel, box);
  });
  const description = panels.map(
    (panel) => `${panel.title}: ${panel.series.map((s) => lastValue(s, panel)).join(", ")}`,
  );
  return svgPage({
    title,
    subtitle,
    description: description.join("; "),
    width,
    height,
    body,
    theme: options.theme,
  });
}

function lastValue({ name, y }: ChartSeries, panel: ChartPanel): string {
  const last = y[y.length - 1];
  if (last === undefined) return `${name} without values`;
  return `${name} ends at ${panel.percent ? formatPercent(last) : formatValue(last)}`;
}

function pointsOf(series: ChartSeries, panel: ChartPanel): Point[] {
  const { name, x, y } = series;
  if (x.length !== y.length) {
    throw new OptionError(
      `chart series ${JSON.stringify(name)}: expected as many x as y; found ${x.length} and ${y.length}`,
    );
  }
  return Array.from({ length: x.length }, (_, i): Point => {
    const value = y[i]!;
    return [x[i]!, Number.isFinite(value) && !(panel.log && value <= 0) ? value : Number.NaN];
  });
}

/** Least and greatest of the finite values; null without any. */
function extent(values: readonly number[]): [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : null;
}

function drawPanel(panel: ChartPanel, xLabel: string, box: Box): string {
  if (panel.range !== undefined && !(panel.range[0] < panel.range[1] && (!panel.log || panel.range[0] > 0))) {
    throw new OptionError(
      `chart range: expected low < high${panel.log ? ", above zero" : ""}; found ${panel.range.join(" and ")}`,
    );
  }
  const series = panel.series.map((s, i) => ({
    series: s,
    color: (s.color ?? i) % colorCount,
    points: pointsOf(s, panel),
  }));
  const all = series.flatMap((s) => s.points).filter(([, y]) => !Number.isNaN(y));
  const [xs, ys] = [extent(all.map(([x]) => x)), extent(all.map(([, y]) => y))];
  const legend = drawLegend(series, box);
  const heading = `<text class="heading" x="${box.x}" y="${box.y + 12}">${escapeXml(panel.title)}</text>`;
  if (xs === null || ys === null) {
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    return [
      heading,
      legend.svg,
      `<text class="muted" text-anchor="middle" x="${x}" y="${y}">no values yet</text>`,
    ].join("\n");
  }

  const bounds = panel.percent ? ([0, 1] as const) : ys[0] >= 0 ? ([0, Infinity] as const) : undefined;
  const vertical = axis(...(panel.range ?? ys), {
    nice: panel.range === undefined,
    log: panel.log === true,
    percent: panel.percent === true,
    ...(bounds && { bounds }),
  });
  const labelWidth = Math.max(...vertical.labels.map((text) => estimateWidth(text, 11)));
  const top = box.y + 24 + legend.height;
  const plot = {
    x: box.x + labelWidth + 8,
    y: top,
    width: box.width - labelWidth - 8,
    height: box.y + box.height - 42 - top,
  };
  const integer = all.every(([x]) => Number.isInteger(x));
  const horizontal = axis(...xs, { integer, count: Math.max(2, Math.floor(plot.width / 58)) });
  const place = ([x, y]: Point): Point => [
    plot.x + horizontal.position(x) * plot.width,
    plot.y + (1 - vertical.position(y)) * plot.height,
  ];
  return [
    `<g>${heading}${legend.svg}`,
    drawAxes(horizontal, vertical, plot, xLabel),
    panel.range === undefined ? "<g>" : clipping(plot),
    ...series.map((s) => drawSeries(s.series, s.points, s.color, place, Math.ceil(plot.width))),
    panel.range === undefined ? "</g></g>" : "</svg></g>",
  ].join("\n");
}

/** An inner document cuts off what lies outside it; dots on the edge stay whole. */
function clipping({ x, y, width, height }: Box): string {
  const [left, top, across, down] = [r(x - 5), r(y - 5), r(width + 10), r(height + 10)];
  return `<svg x="${left}" y="${top}" width="${across}" height="${down}" viewBox="${left} ${top} ${across} ${down}">`;
}

function drawAxes(horizontal: Axis, vertical: Axis, plot: Box, xLabel: string): string {
  const bottom = plot.y + plot.height;
  const right = plot.x + plot.width;
  const rows = vertical.ticks.map((tick, i) => {
    const y = r(bottom - vertical.position(tick) * plot.height);
    return `<path class="grid" d="M${r(plot.x)} ${y}H${r(right)}"/><text class="tick" text-anchor="end" x="${r(plot.x - 8)}" y="${r(y + 4)}">${vertical.labels[i]}</text>`;
  });
  const columns = horizontal.ticks.map((tick, i) => {
    const x = r(plot.x + horizontal.position(tick) * plot.width);
    return `<path class="axis" d="M${x} ${r(bottom)}v5"/><text class="tick" text-anchor="middle" x="${x}" y="${r(bottom + 18)}">${horizontal.labels[i]}</text>`;
  });
  const baseline = `<path class="axis" d="M${r(plot.x)} ${r(bottom)}H${r(right)}"/>`;
  const label = `<text class="tick" text-anchor="middle" x="${r(plot.x + plot.width / 2)}" y="${r(bottom + 37)}">${escapeXml(xLabel)}</text>`;
  return [...rows, ...columns, baseline, label].join("\n");
}

function drawSeries(
  { mark, smoothing = 0 }: ChartSeries,
  points: readonly Point[],
  color: number,
  place: (point: Point) => Point,
  columns: number,
): string {
  const path = (list: readonly Point[], style: string) =>
    `<path class="${style} c${color}" d="${linePath(thinned(list, columns).map(place))}"/>`;
  const raw = smoothing > 0 ? [path(points, "raw")] : [];
  const line = path(smoothing > 0 ? smoothed(points, smoothing) : points, "line");
  const alone = points.filter(([, y]) => !Number.isNaN(y)).length === 1;
  const dots =
    mark === "points" || alone
      ? points.map(place).filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))
      : [];
  return [
    ...raw,
    line,
    ...dots.map(([x, y]) => `<circle class="dot f${color}" cx="${r(x)}" cy="${r(y)}" r="3.5"/>`),
  ].join("");
}

function drawLegend(series: readonly { series: ChartSeries; color: number }[], box: Box) {
  let [x, y] = [box.x, box.y + 30];
  const entries = series.map(({ series: { name, mark }, color }) => {
    const width = 24 + estimateWidth(name, 12) + 14;
    if (x > box.x && x + width > box.x + box.width) [x, y] = [box.x, y + 18];
    const dot =
      mark === "points" ? `<circle class="dot f${color}" cx="${r(x + 9)}" cy="${r(y)}" r="3.5"/>` : "";
    const entry = `<path class="line c${color}" d="M${r(x)} ${r(y)}h18"/>${dot}<text class="label" x="${r(x + 24)}" y="${r(y + 4)}">${escapeXml(name)}</text>`;
    x += width;
    return entry;
  });
  return { svg: entries.join(""), height: series.length === 0 ? 0 : y - box.y - 6 };
}
