// npm run docs: writes the tables of the READMEs and docs/mechanisms.md from the catalogue; tests keep them equal.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import type { Family } from "../src/attention/mechanism.js";
import { mechanismTable } from "./mechanism-table.js";
import { mechanismsFile, mechanismsPage } from "./mechanisms-page.js";

/** The READMEs and the words of their tables. */
export const readmes = [
  {
    file: "README.md",
    headers: ["id", "mechanism", "family", "year", "paper"],
    family: (family: Family): string => family,
  },
  {
    file: "README.zh-CN.md",
    headers: ["id", "机制", "类别", "年份", "论文"],
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

/** A README with its tables as they should be. @throws Error where it has no place for them */
export function withTables(text: string, readme: Readme): string {
  const place = /(?<=<!-- mechanisms -->\n)[\s\S]*?(?=<!-- \/mechanisms -->)/;
  if (!place.test(text))
    throw new Error(`${readme.file} has no <!-- mechanisms --> ... <!-- /mechanisms -->`);
  return text.replace(place, () => `\n${mechanismTable(readme)}\n\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const readme of readmes) {
    const path = new URL(`../${readme.file}`, import.meta.url);
    await writeFile(path, withTables(await readFile(path, "utf8"), readme));
  }
  await writeFile(new URL(`../${mechanismsFile}`, import.meta.url), mechanismsPage());
}
