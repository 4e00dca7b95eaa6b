import pc from "picocolors";
import { OptionError } from "../base/errors.js";
import { textWidth } from "./text-width.js";

/** A cell: numbers are written as they are, null and undefined as nothing. */
export type Cell = string | number | bigint | boolean | null | undefined;

/** A column of a table. */
export interface Column {
  readonly header: string;
  /** Default: right where every cell is a number or reads as one (`1.2 M`, `98.3 %`), else left. */
  readonly align?: "left" | "right";
}

/** How a table is written for a terminal. */
export interface TableOptions {
  /** Bold header; default: whether the terminal shows colours (NO_COLOR is honoured). */
  readonly color?: boolean;
  /** Spaces before each line; default 0. */
  readonly indent?: number;
}

const numeric = /^[-+\u2212]?[\d.,]+(e[-+]?\d+)?(\s?[%\p{L}\u00b5/]+)?$/u;

interface Layout {
  readonly headers: readonly string[];
  readonly right: readonly boolean[];
  readonly cells: readonly (readonly string[])[];
}

function layOut(columns: readonly (string | Column)[], rows: readonly (readonly Cell[])[]): Layout {
  const full = columns.map((column): Column => (typeof column === "string" ? { header: column } : column));
  for (const [i, row] of rows.entries()) {
    if (row.length !== full.length) {
      throw new OptionError(`table row ${i}: expected ${full.length} cells; found ${row.length}`);
    }
  }
  const cells = rows.map((row) => row.map((cell) => String(cell ?? "").replace(/\s*\r?\n\s*/g, " ")));
  const right = full.map(({ align }, c) => {
    if (align !== undefined) return align === "right";
    const column = cells
      .map((row) => row[c]!)
      .filter((cell) => cell !== "" && cell !== "-" && cell !== "n/a");
    return column.length > 0 && column.every((cell) => numeric.test(cell));
  });
  return { headers: full.map(({ header }) => header), right, cells };
}

function pad(text: string, width: number, right: boolean): string {
  const spaces = " ".repeat(Math.max(0, width - textWidth(text)));
  return right ? spaces + text : text + spaces;
}

/**
 * A table for a terminal: aligned columns, header and rule. Ends without a newline.
 * @throws OptionError where a row has not one cell per column.
 */
export function table(
  columns: readonly (string | Column)[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions = {},
): string {
  const { headers, right, cells } = layOut(columns, rows);
  const { bold, dim } = pc.createColors(options.color ?? isColorTerminal());
  const widths = headers.map((header, c) =>
    Math.max(textWidth(header), ...cells.map((row) => textWidth(row[c]!))),
  );
  const indent = " ".repeat(options.indent ?? 0);
  const line = (texts: readonly string[]) =>
    indent +
    texts
      .map((text, c) => pad(text, widths[c]!, right[c]!))
      .join("  ")
      .trimEnd();
  const rule = indent + widths.map((width) => "─".repeat(width)).join("  ");
  return [bold(line(headers)), dim(rule), ...cells.map(line)].join("\n");
}

/**
 * The same table in Markdown (GitHub's), padded so that it reads well as text. Ends without a newline.
 * @throws OptionError where a row has not one cell per column.
 */
export function markdownTable(
  columns: readonly (string | Column)[],
  rows: readonly (readonly Cell[])[],
): string {
  const { headers, right, cells } = layOut(columns, rows);
  const escaped = [headers, ...cells].map((row) => row.map((cell) => cell.replace(/\\(?=\|)|\|/g, "\\$&")));
  const widths = headers.map((_, c) => Math.max(3, ...escaped.map((row) => textWidth(row[c]!))));
  const line = (texts: readonly string[]) =>
    `| ${texts.map((t, c) => pad(t, widths[c]!, right[c]!)).join(" | ")} |`;
  const rule = widths.map((width, c) => (right[c] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  return [line(escaped[0]!), line(rule), ...escaped.slice(1).map(line)].join("\n");
}

/** Colours are for terminals: a pipe or a file gets plain text, on continuous integration too. */
function isColorTerminal(): boolean {
  return pc.isColorSupported && globalThis.process?.stdout?.isTTY === true;
}
