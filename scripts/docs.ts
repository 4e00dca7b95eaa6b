// npm run docs: writes the tables of the READMEs that come from the catalogue; a test keeps them equal.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { mechanisms } from "../src/attention/catalogue.js";
import { type Family, families } from "../src/attention/mechanism.js";

/** The READMEs and the words of their tables. */
export const readmes = [
  {
    file: "README.md",
    header: ["id", "mechanism", "family", "year", "paper"],
    family: (family: Family): string => family,
  },
  {
    file: "README.zh-CN.md",
    header: ["id", "机制", "类别", "年份", "论文"],
    family: (family: Family): string => chinese[family],
  },
] as const;

type Readme = (typeof readmes)[number];

const chinese: Readonly<Record<Family, string>> = {
  channel: "通道",
  spatial: "空间",
  temporal: "时间",
  branch: "分支",
  "channel-spatial": "通道与空间",
  "spatial-temporal": "空间与时间",
  transformer: "Transformer",
};

/** Every mechanism of the catalogue as a Markdown table, by family and year. */
export function mechanismTable({ header, family }: Readme): string {
  const sorted = mechanisms().sort(
    (a, b) => families.indexOf(a.family) - families.indexOf(b.family) || a.year - b.year,
  );
  const rows = sorted.map((about) => [
    `\`${about.id}\``,
    about.name,
    family(about.family),
    about.year,
    about.arxiv === undefined ? about.paper : `[${about.paper}](https://arxiv.org/abs/${about.arxiv})`,
  ]);
  return [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A README with its tables as they should be. @throws Error where it has no place for them */
export function withTables(text: string, readme: Readme): string {
  const place = /(<!-- mechanisms -->\n)[\s\S]*?(\n<!-- \/mechanisms -->)/;
  if (!place.test(text)) throw new Error(`${readme.file} has no <!-- mechanisms --> ... <!-- /mechanisms -->`);
  return text.replace(place, (_, begin: string, end: string) => begin + mechanismTable(readme) + end);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const readme of readmes) {
    const path = new URL(`../${readme.file}`, import.meta.url);
    await writeFile(path, withTables(await readFile(path, "utf8"), readme));
  }
}
