import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mechanisms } from "../../src/attention/catalogue.js";
import { readGoldenCase } from "../../src/verify/golden-case.js";
import { verifyCase } from "../../src/verify/verify.js";

const root = new URL("../goldens/", import.meta.url).pathname;

const cases = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".safetensors"))
  .sort()
  .map((file) => ({ file, golden: readGoldenCase(readFileSync(join(root, file)), file) }));

describe("golden cases", () => {
  it.each(cases)("$golden.mechanism: $file", async ({ golden }) => {
    const { comparisons } = await verifyCase(golden);
    expect(comparisons.filter(({ passed }) => !passed)).toEqual([]);
    expect(comparisons.some(({ name }) => name.startsWith("output."))).toBe(true);
  });

  it.each(mechanisms().map(({ id }) => id))("has a case of %s", (id) => {
    expect(cases.map(({ golden }) => golden.mechanism)).toContain(id);
  });
});
