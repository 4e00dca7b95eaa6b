import { readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { exampleCode, mechanismsFile, mechanismsPage } from "../scripts/mechanisms-page.js";
import { mechanisms } from "../src/attention/catalogue.js";
import { runSource } from "./child.js";

const root = fileURLToPath(new URL("..", import.meta.url));

test(`${mechanismsFile} is what the catalogue says; \`npm run docs\` writes it`, () => {
  expect(readFileSync(join(root, mechanismsFile), "utf8")).toBe(mechanismsPage());
});

test("every mechanism has a section with formula, cost and code, and a row that leads there", () => {
  const page = mechanismsPage();
  const anchors = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, "")
      .replaceAll(" ", "-"),
  );
  expect(new Set(anchors).size).toBe(mechanisms().length);
  for (const { id, formula } of mechanisms()) {
    const [, target] = new RegExp(`^\\| \\[\`${id}\`\\]\\(#([^)]+)\\)`, "m").exec(page) ?? [];
    expect(anchors, id).toContain(target);
    expect(page).toContain(`$$\n${formula}\n$$`);
    expect(page).toContain(`create("${id}", `);
  }
});

test("the code on the page runs", { timeout: 240_000 }, async () => {
  const blocks = mechanisms().map((about) => {
    const code = exampleCode(about);
    const looked = code.includes("outputs, taps") ? "Object.keys(taps).length" : "0";
    const report = `console.log("${about.id}", Object.keys(outputs).length, ${looked});`;
    return `{\n${code}\n${report}\n}`;
  });
  // Inside the checkout, so that `fovea` stands for the sources.
  const scratch = join(root, ".fovea", `docs-${process.pid}`);
  await mkdir(scratch, { recursive: true });
  try {
    await writeFile(join(scratch, "page.ts"), ['import { create, run } from "fovea";', ...blocks].join("\n"));
    const { code, stdout, stderr } = await runSource(join(scratch, "page.ts"));
    expect(stderr).toBe("");
    const counts = mechanisms().map((about) => {
      const taps = exampleCode(about).includes("outputs, taps") ? "[1-9]\\d*" : "0";
      return expect.stringMatching(new RegExp(`^${about.id} [1-9]\\d* ${taps}$`));
    });
    expect(stdout.trim().split("\n")).toEqual(counts);
    expect(code).toBe(0);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
