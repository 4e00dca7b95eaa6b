import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { readmes, withTables } from "../scripts/docs.js";
import { runNode, runSource } from "./child.js";

const root = fileURLToPath(new URL("..", import.meta.url));
// Inside the checkout, so that `fovea` stands for the sources.
const scratch = join(root, ".fovea", `readme-${process.pid}`);

const texts = readmes.map(({ file }) => readFileSync(join(root, file), "utf8"));
const blocks = (text: string, language: string) =>
  [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, tag]) => tag === language)
    .map(([, , body]) => body!);
const withoutComments = (code: string) => code.replace(/ *(\/\/|# ).*$/gm, "");

const programs = blocks(texts[0]!, "ts");
const commands = blocks(texts[0]!, "sh")
  .flatMap((block) => withoutComments(block).trim().split("\n"))
  .map((line) => line.trim());

/** Commands that other tests stand for, or that take minutes: the main job and all tests. */
const elsewhere = ["npm start", "npm test", "npm run -s fovea -- train --attention cbam --epochs 1"];

describe.each(readmes)("$file", (readme) => {
  const text = readFileSync(join(root, readme.file), "utf8");

  test("has the mechanisms of the catalogue (npm run docs)", () => {
    expect(text).toBe(withTables(text, readme));
  });

  test("links to files that exist", () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, path]) => path!);
    expect(links.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test("names every entry of the package", () => {
    const entries = Object.keys(manifest.exports).filter((name) => name !== "./package.json");
    expect(entries.filter((name) => !text.includes(`\`fovea${name.slice(1)}\``))).toEqual([]);
  });
});

test("both READMEs have the same code, commands and headings", () => {
  const shape = (text: string) => ({
    code: [...blocks(text, "ts"), ...blocks(text, "sh")].map(withoutComments),
    headings: [...text.matchAll(/^#+ /gm)].map(([mark]) => mark),
    files: [...text.matchAll(/^\| (`.*?`) \|/gm)].length,
  });
  expect(shape(texts[1]!)).toEqual(shape(texts[0]!));
});

describe("code of the README", () => {
  beforeAll(async () => {
    await mkdir(scratch, { recursive: true });
    for (const [index, code] of programs.entries()) await writeFile(join(scratch, `${index}.ts`), code);
    const config = { extends: join(root, "tsconfig.json"), include: [scratch] };
    await writeFile(join(scratch, "tsconfig.json"), JSON.stringify(config));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  test("has the right types", { timeout: 180_000 }, async () => {
    const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
    const { stdout, stderr } = await runNode([compiler, "-p", scratch, "--pretty", "false"]);
    expect(stderr).toBe("");
    // Errors in the sources are for the check of types to tell.
    expect(stdout.split("\n").filter((line) => line.includes("readme-"))).toEqual([]);
  });

  test("trains and looks", { timeout: 240_000 }, async () => {
    const { code, stdout, stderr } = await runSource(join(scratch, "0.ts"));
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/loss: \d.*accuracy: 0\.\d/s);
    expect(stdout).toContain("layer3.0.se.attention");
    expect(stdout).toContain("[ 4, 1, 7, 7 ]");
  });

  test("puts a mechanism into a network", { timeout: 120_000 }, async () => {
    const { code, stdout, stderr } = await runSource(join(scratch, "1.ts"));
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^\[ 1, 32, 32, 32 \] \[ 'cbam.channel.attention', 'cbam.spatial.attention' \]\n\d+ bytes\n$/,
    );
  });

  test("is all run", () => {
    expect(programs).toHaveLength(2);
  });
});

const prefix = "npm run -s fovea -- ";
/** Commands that build on each other, in the order of the README: those about photographs. */
const workflow = commands.filter((line) => line.includes("photos"));
const argumentsOf = (line: string) =>
  line
    .slice(prefix.length)
    .split(" ")
    .map((word) => word.replaceAll("'", ""));

describe("commands of the README", () => {
  test("are known", () => {
    expect(commands.filter((line) => !line.startsWith(prefix)).sort()).toEqual(
      [...elsewhere.filter((line) => !line.startsWith(prefix)), "npm run photos"].sort(),
    );
    expect(commands).toEqual(expect.arrayContaining(elsewhere));
  });

  test("take photographs from a folder to an explained, exported model", { timeout: 600_000 }, async () => {
    const folder = join(root, ".fovea", `photos-${process.pid}`);
    await mkdir(folder, { recursive: true });
    try {
      const results: string[] = [];
      for (const line of workflow) {
        const script = line === "npm run photos" ? "scripts/photos.ts" : "src/cli/main.ts";
        const args = line === "npm run photos" ? [] : argumentsOf(line);
        const { code, stdout, stderr } = await runSource(join(root, script), args, folder);
        expect(code, `${line}\n${stderr}`).toBe(0);
        results.push(stdout);
      }
      expect(workflow).toHaveLength(6);
      expect(results[2]).toMatch(/^accuracy {2}[\d.]+ % of 96 images/m);
      expect(results[3]).toMatch(/00\.jpg +\S+ [\d.]+ %/);
      const made = ["confusion.png", "looks/00/all-maps.png", "photos.onnx", "attention.png"];
      expect(made.filter((file) => !existsSync(join(folder, "runs", "photos", file)))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test.each(commands.filter((line) => !elsewhere.includes(line) && !workflow.includes(line)))(
    "%s",
    { timeout: 120_000 },
    async (line) => {
      const { code, stdout } = await runNode(["scripts/fovea.mjs", ...argumentsOf(line)]);
      expect(code).toBe(0);
      expect(stdout).not.toBe("");
    },
  );
});
