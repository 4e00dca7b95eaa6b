import { type ChartTheme, chartStyle } from "./chart-style.js";
import { textWidth } from "./text-width.js";

/** Space around the content of a page, in pixels. */
export const pageMargin = 28;

/** A page of an SVG document: title and subtitle over a drawing. */
export interface SvgPage {
  readonly title: string;
  readonly subtitle?: string | undefined;
  /** What the drawing shows, for screen readers. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** Elements that lie below `headHeight(subtitle)`. */
  readonly body: readonly string[];
  readonly theme?: ChartTheme | undefined;
}

/** Where the drawing begins. */
export function headHeight(subtitle: string | undefined): number {
  return pageMargin + 20 + (subtitle === undefined ? 0 : 22) + 18;
}

/** The page as a document that follows light and dark settings and keeps its styles to itself. */
export function svgPage({ title, subtitle, description, width, height, body, theme }: SvgPage): string {
  const content = [
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text class="title" x="${pageMargin}" y="${pageMargin + 14}">${escapeXml(title)}</text>`,
    subtitle === undefined
      ? ""
      : `<text class="muted" x="${pageMargin}" y="${pageMargin + 38}">${escapeXml(subtitle)}</text>`,
    ...body,
  ]
    .filter((line) => line !== "")
    .join("\n");
  const id = `chart-${hash(title + content)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" id="${id}" role="img" aria-labelledby="${id}-title ${id}-desc" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title id="${id}-title">${escapeXml(title)}</title>
<desc id="${id}-desc">${escapeXml(description)}</desc>
<style>${chartStyle(`#${id}`, theme ?? "auto")}</style>
${content}
</svg>
`;
}

// Characters that XML 1.0 does not allow at all.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu;

/** Text as it stands in a document. */
export function escapeXml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(forbidden, "\ufffd").replace(/[&<>"]/g, (c) => entities[c]!);
}

/** Estimate of a text's width: fonts differ, so somewhat more than most need. */
export function estimateWidth(text: string, size: number): number {
  return textWidth(text) * size * 0.58;
}

/** A coordinate as it is written. */
export function coordinate(value: number): number {
  return Number(value.toFixed(1));
}

/** FNV-1a, so that the styles of several charts in one page do not meet. */
function hash(text: string): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return (h >>> 0).toString(36);
}
