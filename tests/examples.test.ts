import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runSource } from "./child.js";

const folder = fileURLToPath(new URL("../examples/", import.meta.url));

/** What an example must print, by its number; one that checks itself may print anything. */
const expected: Readonly<Record<string, RegExp>> = {
  "01": /Squeeze-and-Excitation: 76 parameters\ngates \[1, 8, 1, 1\], output \[1, 8, 6, 6\]\n(channel \d .*#\n){8}$/,
  "02": /^(epoch \d: .*\n){3}accuracy (8[0-9]|9\d)\.\d % of 500 test images\n(layer\d\.0\.se\.attention \[4, \d+, 1, 1\]: .*\n){3}$/,
  "03": /^(.*\n)*cbam +2018 .*\n(.*\n)*cbam with 64 channels: 612 parameters\n$/,
  "09": /accuracy [3-9]\d\.\d\d % of 250 test digits\n(.*\n)* {2}in the rollout \d+ %\n.*attention\.png shows where its class token looks\n$/,
};

const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));

test("examples are numbered", () => {
  const numbers = files.map((name) => /^(\d\d)-[a-z0-9-]+\.ts$/.exec(name)?.[1]);
  expect(numbers).not.toContain(undefined);
  expect(new Set(numbers).size).toBe(files.length);
  expect(numbers).toEqual(expect.arrayContaining(Object.keys(expected)));
});

test.each(files)("%s", { timeout: 240_000 }, async (name) => {
  const { code, stdout, stderr } = await runSource(`examples/${name}`);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(expected[name.slice(0, 2)] ?? /\S/);
});
