import { mechanisms } from "../src/attention/catalogue.js";
import { type AnyAbout, type Family, families } from "../src/attention/mechanism.js";
import { markdownTable } from "../src/report/table.js";

/** The words of a table of mechanisms. */
export interface TableWords {
  /** Of id, name, family, year and paper. */
  readonly headers: readonly string[];
  readonly family: (family: Family) => string;
  /** What stands in the first column; the id by default. */
  readonly id?: (about: AnyAbout) => string;
}

/** Every mechanism of the catalogue by family and year. */
export function sortedMechanisms(): AnyAbout[] {
  return mechanisms().sort(
    (a, b) => families.indexOf(a.family) - families.indexOf(b.family) || a.year - b.year,
  );
}

/** Every mechanism of the catalogue as a Markdown table, by family and year. */
export function mechanismTable({ headers, family, id = (about) => `\`${about.id}\`` }: TableWords): string {
  return markdownTable(
    headers.map((header) => ({ header, align: "left" })),
    sortedMechanisms().map((about) => [
      id(about),
      about.name,
      family(about.family),
      about.year,
      paperText(about),
    ]),
  );
}

/** Title of the paper and its link. */
export function paperText({
  paper,
  arxiv,
}: Pick<AnyAbout, "paper"> & { readonly arxiv?: string | undefined }): string {
  return arxiv === undefined ? paper : `${paper}, [arXiv:${arxiv}](https://arxiv.org/abs/${arxiv})`;
}
