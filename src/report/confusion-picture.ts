import { OptionError } from "../base/errors.js";
import { palette } from "./attention-card.js";
import { Canvas, type Color } from "./canvas.js";
import { colormap } from "./colormap.js";
import { fitText, measureText } from "./font.js";
import { formatPercent } from "./units.js";

/** Classes whose counts are written into the cells, and those that have names beside them. */
const maxWritten = 24;
const maxNamed = 60;
/** Largest number of classes that can be drawn. */
export const maxPictureClasses = 1000;

const margin = 28;
const heading = 64;
const longestName = 140;
const nameSize = 11;

/**
 * A confusion matrix as a picture: a row per true class, a column per predicted one, each cell coloured by its share of the row.
 * @param counts square, a row per true class
 * @throws OptionError where it is not square, has more than 1,000 classes, or not as many names
 */
export function confusionPicture(
  counts: readonly (readonly number[])[],
  options: { readonly classes: readonly string[]; readonly title: string; readonly density?: number },
): Canvas {
  const { classes, title, density = 2 } = options;
  const count = counts.length;
  if (
    count < 1 ||
    count > maxPictureClasses ||
    count !== classes.length ||
    counts.some((row) => row.length !== count)
  ) {
    throw new OptionError(
      `confusion picture: expected 1 to ${maxPictureClasses} classes, a row, a column and a name for each; found ${count} rows and ${classes.length} names`,
    );
  }
  const cell = count <= maxWritten ? 34 : Math.max(2, Math.floor(720 / count));
  const named = count <= maxNamed;
  const names = classes.map((name) => (named ? fitText(name, longestName, nameSize) : ""));
  const label = named ? Math.max(...names.map((name) => measureText(name, nameSize))) + 10 : 0;
  const side = cell * count;
  const [left, top] = [margin + label, margin + heading];
  const canvas = new Canvas(
    Math.max(left + side + margin, 360),
    top + side + (count <= maxWritten ? 20 : 0) + margin,
    {
      density,
      background: palette.page,
    },
  );
  const total = sum(counts.flat());
  const right = sum(counts.map((row, index) => row[index]!));
  canvas.text(margin, margin + 12, title, { size: 17, color: palette.text, weight: "medium" });
  const accuracy = `${formatPercent(right / total)} of ${total} right; rows: true class, columns: prediction; colour: share of the row`;
  canvas.text(margin, margin + 34, accuracy, { size: nameSize, color: palette.muted });
  const shades = colormap("viridis");
  for (const [row, values] of counts.entries()) {
    const y = top + row * cell;
    const ofRow = sum(values);
    if (named) {
      const style = { size: nameSize, color: palette.muted, align: "right" } as const;
      canvas.textMiddle(left - 10, y + cell / 2, names[row]!, style);
    }
    for (const [column, value] of values.entries()) {
      const share = ofRow === 0 ? 0 : value / ofRow;
      const x = left + column * cell;
      const gap = cell > 8 ? 1 : 0;
      canvas.rect(x, y, cell - gap, cell - gap, share === 0 ? palette.card : shades(share));
      if (count <= maxWritten && value > 0) {
        const style = { size: 10, color: inkOn(shades(share)), align: "center" } as const;
        canvas.textMiddle(x + cell / 2, y + cell / 2, String(value), style);
      }
    }
  }
  if (count <= maxWritten) nameColumns(canvas, names, { left, y: top + side + 14, cell });
  return canvas;
}

/** Names below the columns, cut to their width. */
function nameColumns(
  canvas: Canvas,
  names: readonly string[],
  { left, y, cell }: { left: number; y: number; cell: number },
): void {
  for (const [column, name] of names.entries()) {
    const x = left + (column + 0.5) * cell;
    canvas.text(x, y, fitText(name, cell - 4, 9), { size: 9, color: palette.muted, align: "center" });
  }
}

/** Dark ink on light colours. */
function inkOn([red, green, blue]: Color): Color {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? palette.page : palette.text;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
