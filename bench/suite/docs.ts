import { OptionError } from "../../src/base/errors.js";
import { markdownTable } from "../../src/report/table.js";
import { circumstances, sectionsOf } from "./report.js";
import type { Result } from "./result.js";

/** Fewer rounds than these are too few to be published. */
const publishedRounds = 7;

const place = /(?<=<!-- figures -->\n)[\s\S]*?(?=<!-- \/figures -->)/;

/**
 * The page with the figures of a result between its marks.
 * @throws OptionError for a quick run or one of few rounds, and for a page without the marks
 */
export function withFigures(page: string, result: Result): string {
  if (result.quick || result.rounds < publishedRounds) {
    throw new OptionError(`--docs takes a full run of at least ${publishedRounds} rounds`);
  }
  return replaceFigures(page, figures(result));
}

/** The page as it is before anything is measured. @throws OptionError for a page without the marks */
export function withoutFigures(page: string): string {
  return replaceFigures(page, "Not measured yet: `npm run bench -- --docs` writes the figures here.");
}

function replaceFigures(page: string, text: string): string {
  if (!place.test(page)) throw new OptionError("the page has no <!-- figures --> ... <!-- /figures -->");
  return page.replace(place, () => `\n${text}\n\n`);
}

function figures(result: Result): string {
  const tables = sectionsOf(result).map(
    ({ title, columns, rows }) => `### ${title}\n\n${markdownTable(columns, rows)}`,
  );
  return [circumstances(result).join(" "), ...tables].join("\n\n");
}
