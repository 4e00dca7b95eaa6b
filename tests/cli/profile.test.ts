import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { runCommandLine } from "../../src/cli/program.js";

const folder = mkdtempSync(join(tmpdir(), "fovea-profile-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function fovea(...args: string[]) {
  const [out, log]: [string[], string[]] = [[], []];
  const code = await runCommandLine(args, {
    result: (text) => out.push(text),
    log: (text) => log.push(text),
  });
  return { code, out: out.join("\n"), log: log.join("\n") };
}

interface Row {
  readonly name: string;
  readonly milliseconds: number;
  readonly share: number;
  readonly gigaflopsPerSecond: number | null;
  readonly gigabytesPerSecond: number | null;
}

const small = [
  "seresnet8",
  "--batch",
  "2",
  "--size",
  "8",
  "--in-channels",
  "1",
  "--runs",
  "2",
  "--threads",
  "1",
];

describe("fovea profile", () => {
  it("tells time by operator and module of a training step, and draws it", async () => {
    const svg = join(folder, "flame.svg");
    const { code, out } = await fovea("profile", ...small, "--training", "--json", "--svg", svg);
    expect(code).toBe(0);
    const found = JSON.parse(out) as { milliseconds: number; operators: Row[]; modules: Row[] };
    expect(found).toMatchObject({
      model: "seresnet8",
      training: true,
      batch: 2,
      imageShape: [1, 8, 8],
      runs: 2,
    });
    const sum = (rows: readonly Row[], of: "milliseconds" | "share") =>
      rows.reduce((total, row) => total + row[of], 0);
    expect(sum(found.operators, "share")).toBeCloseTo(1);
    expect(sum(found.operators, "milliseconds")).toBeCloseTo(found.milliseconds);
    expect(found.operators.map(({ milliseconds }) => milliseconds)).toEqual(
      found.operators.map(({ milliseconds }) => milliseconds).sort((a, b) => b - a),
    );
    const row = (rows: readonly Row[], name: string) => rows.find((candidate) => candidate.name === name)!;
    const convolution = row(found.operators, "Conv");
    expect(convolution.gigaflopsPerSecond).toBeGreaterThan(0);
    expect(row(found.operators, "Add").gigaflopsPerSecond).toBeNull();
    expect(row(found.operators, "Add").gigabytesPerSecond).toBeGreaterThan(0);
    const stage = row(found.modules, "layer2");
    expect(stage.milliseconds).toBeGreaterThan(row(found.modules, "layer2.0.conv1").milliseconds);
    expect(stage.share).toBeLessThan(1);
    expect(readFileSync(svg, "utf8")).toMatch(/<title>layer2\.0\.conv1: /);
  });

  it("writes tables of a forward pass", async () => {
    const { code, out, log } = await fovea("profile", ...small, "--attention", "eca", "--depth", "1");
    expect(code).toBe(0);
    expect(log).toBe("profiling seresnet8, forward pass of [2, 1, 8, 8], 2 runs ...");
    expect(out).toMatch(/^seresnet8, forward pass of \[2, 1, 8, 8\]: .* in \d+ nodes$/m);
    expect(out).toMatch(/^ {2}operator +nodes +ms +share +GFLOP\/s +GB\/s$/m);
    expect(out).toMatch(/^ {2}layer1 /m);
    expect(out).not.toContain("layer1.0");
  });

  it.each([
    [["profile", "seresnet9"], 'no model "seresnet9"'],
    [["profile", "seresnet8", "--runs", "0"], "--runs is 0"],
    [["profile", "seresnet8", "--attention", "sse"], 'no mechanism "sse"'],
  ])("refuses %j", async (args, message) => {
    const { code, log } = await fovea(...args);
    expect(code).toBe(2);
    expect(log).toContain(message);
  });
});
