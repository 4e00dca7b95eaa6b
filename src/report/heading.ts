import { palette } from "./attention-card.js";
import type { Canvas } from "./canvas.js";
import { wrapText } from "./font.js";

/** Words at the head of a picture. */
export interface HeadingWords {
  readonly title: string;
  readonly subtitle?: string;
}

/** Sizes of its text, and the distance from line to line. */
interface HeadingStyle {
  readonly title: { readonly size: number; readonly line: number };
  readonly subtitle: { readonly size: number; readonly line: number };
  /** Space below the last line. */
  readonly below: number;
}

/** Breaks the words into lines that fit a width. */
export function layOutHeading(words: HeadingWords, style: HeadingStyle, width: number) {
  const title = wrapText(words.title, width, style.title.size, "medium");
  const subtitle = wrapText(words.subtitle ?? "", width, style.subtitle.size);
  const draw = (canvas: Canvas, left: number, top: number) => {
    let y = top;
    for (const line of title) {
      const { size } = style.title;
      canvas.text(left, y + size * 0.8, line, { size, color: palette.text, weight: "medium" });
      y += style.title.line;
    }
    for (const line of subtitle) {
      const { size } = style.subtitle;
      canvas.text(left, y + size, line, { size, color: palette.muted });
      y += style.subtitle.line;
    }
  };
  const height = title.length * style.title.line + subtitle.length * style.subtitle.line + style.below;
  return { height, draw };
}
