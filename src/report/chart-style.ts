/** Colours of a chart: "auto" is light unless the reader's system is dark. */
export type ChartTheme = "auto" | "light" | "dark";

interface Palette {
  readonly page: string;
  readonly text: string;
  readonly muted: string;
  readonly grid: string;
  readonly axis: string;
  readonly series: readonly string[];
}

// Series colours after Okabe and Ito, Color Universal Design (2008): distinguishable with colour-blindness.
const light: Palette = {
  page: "#ffffff",
  text: "#1b1f24",
  muted: "#59636e",
  grid: "#e6e9ed",
  axis: "#aeb6bf",
  series: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"],
};

// The same hues, lighter for a dark page.
const dark: Palette = {
  page: "#0d1015",
  text: "#eef1f5",
  muted: "#929ba8",
  grid: "#232932",
  axis: "#4a535f",
  series: ["#4fabe6", "#ff8f4d", "#33c79b", "#e3a0c6", "#f0bd54", "#9bd6f7"],
};

/** Number of series colours. */
export const colorCount = light.series.length;

function colors(scope: string, palette: Palette): string {
  return [
    `${scope} .page{fill:${palette.page}}`,
    `${scope} .title,${scope} .heading,${scope} .label{fill:${palette.text}}`,
    `${scope} .muted,${scope} .tick{fill:${palette.muted}}`,
    `${scope} .grid{stroke:${palette.grid}}`,
    `${scope} .axis{stroke:${palette.axis}}`,
    `${scope} .dot{stroke:${palette.page}}`,
    ...palette.series.map((color, i) => `${scope} .c${i}{stroke:${color}}${scope} .f${i}{fill:${color}}`),
  ].join("");
}

/** Style sheet of a chart whose elements lie under the selector `scope`. */
export function chartStyle(scope: string, theme: ChartTheme): string {
  const base = [
    `${scope} text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:12px}`,
    `${scope} .title{font-size:18px;font-weight:600}`,
    `${scope} .heading{font-size:13px;font-weight:600}`,
    `${scope} .muted{font-size:13px}`,
    `${scope} .tick{font-size:11px;font-variant-numeric:tabular-nums}`,
    `${scope} path{fill:none;stroke-width:1}`,
    `${scope} .line{stroke-width:2;stroke-linejoin:round;stroke-linecap:round}`,
    `${scope} .raw{stroke-opacity:.3;stroke-linejoin:round}`,
    `${scope} .dot{stroke-width:1.5}`,
  ].join("");
  if (theme !== "auto") return base + colors(scope, theme === "dark" ? dark : light);
  return `${base}${colors(scope, light)}@media (prefers-color-scheme:dark){${colors(scope, dark)}}`;
}
