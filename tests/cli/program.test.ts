import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mechanisms } from "../../src/attention/catalogue.js";
import { changed, nudge } from "../verify/golden.js";
import { fovea } from "./fovea.js";

const goldens = new URL("../goldens/", import.meta.url).pathname;

describe("fovea list", () => {
  it("lists every mechanism", async () => {
    const { code, out, log } = await fovea("list");
    expect(code).toBe(0);
    const lines = out.split("\n");
    for (const { id, name } of mechanisms()) {
      expect(
        lines.filter((line) => line.startsWith(`${id} `) && line.endsWith(` ${name}`)),
        id,
      ).toHaveLength(1);
    }
    expect(log).toBe(`${mechanisms().length} mechanisms`);
  });

  it("filters by family and pattern, in JSON too", async () => {
    const { code, json } = await fovea("list", "--family", "spatial", "--match", "*CRISS*", "--json");
    expect(code).toBe(0);
    expect(json()).toEqual({
      mechanisms: [
        {
          id: "ccnet",
          name: "Criss-Cross Attention",
          family: "spatial",
          year: 2019,
          paper: expect.stringContaining("CCNet"),
          arxiv: "1811.11721",
        },
      ],
    });
    expect(await fovea("list", "--match", "nothing*")).toMatchObject({
      code: 0,
      out: "",
      log: "0 mechanisms",
    });
  });

  it("refuses an unknown family", async () => {
    const { code, out, log } = await fovea("list", "--family", "spatal");
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(log).toContain('no family "spatal"; did you mean spatial?');
  });
});

describe("fovea show", () => {
  interface Shown {
    options: { name: string; type: string; required: boolean; default?: unknown }[];
    maps: Record<string, unknown>;
    example: { options: object; sizes: object; parameters: number; macs: number };
  }

  it("shows formula, options, maps and cost", async () => {
    const { code, out } = await fovea("show", "cbam");
    expect(code).toBe(0);
    for (const text of [
      "https://arxiv.org/abs/1807.06521",
      String.raw`\mathbf{z} =`,
      "kernelSize       integer >= 1, must be odd  7",
      "channels         integer >= 1               (required)",
      "reducedChannels  integer >= 1               none",
      "forward: x [batch, 16, height, width] -> y [batch, 16, height, width]",
      "channel  channel-gate  [batch, 16, 1, 1]          [0, 1]",
      "Jongchan/attention-module",
    ]) {
      expect(out).toContain(text);
    }
  });

  it("counts for given channels and sizes, with defaults else", async () => {
    const { json } = await fovea("show", "se", "--channels", "256", "--size", "7x5", "--json");
    const { example, options, maps } = json<Shown>();
    expect(example).toEqual({
      options: { channels: 256 },
      sizes: { batch: 1, height: 7, width: 5 },
      parameters: 2 * 256 * 16 + 256 + 16,
      macs: 2 * 256 * 16,
    });
    expect(options[1]).toEqual({
      name: "reduction",
      type: "number > 0",
      required: false,
      nullable: false,
      default: 16,
    });
    expect(maps).toEqual({ attention: { kind: "channel-gate", shape: ["batch", 256, 1, 1], range: [0, 1] } });
  });

  it.each([
    [["show", "cabm"], 'no mechanism "cabm"; did you mean cbam'],
    [["show"], "missing required args"],
    [["show", "se", "cbam"], "Unused args"],
    [["show", "se", "--channels", "0"], "channels is 0; it must be integer >= 1"],
    [["show", "se", "--channels", "many"], "channels is NaN"],
    [["show", "se", "--channels"], "value is missing"],
    [["show", "se", "--size", "0"], "--size is 0; it must be pixels such as 56 or 56x40"],
    [["show", "se", "--size", "7", "--size", "8"], "--size was given 2 times"],
  ])("%j is wrong usage", async (args, message) => {
    const { code, log } = await fovea(...args);
    expect(log).toContain(message);
    expect(code).toBe(2);
  });

  it("shows every mechanism", async () => {
    for (const { id } of mechanisms()) expect((await fovea("show", id)).code, id).toBe(0);
  });
});

describe("fovea verify", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "fovea-verify-"));
    mkdirSync(join(folder, "inner"));
    copyFileSync(join(goldens, "channel/se.safetensors"), join(folder, "a.safetensors"));
    copyFileSync(join(goldens, "mixed/cbam.safetensors"), join(folder, "inner/b.safetensors"));
    writeFileSync(join(folder, "notes.txt"), "no case");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("verifies files and folders, recursively", async () => {
    const { code, json, log } = await fovea("verify", folder, "--json");
    expect({ code, log }).toEqual({ code: 0, log: "" });
    expect(json()).toEqual({
      passed: 2,
      failed: 0,
      cases: [
        {
          file: join(folder, "a.safetensors"),
          mechanism: "se",
          status: "pass",
          worst: expect.any(Number),
          where: expect.any(String),
        },
        {
          file: join(folder, "inner/b.safetensors"),
          mechanism: "cbam",
          status: "pass",
          worst: expect.any(Number),
          where: expect.any(String),
        },
      ],
    });
  });

  it("takes a file once and prints a table", async () => {
    const file = join(folder, "a.safetensors");
    const { code, out, log } = await fovea("verify", file, file);
    expect(code).toBe(0);
    expect(out).toMatch(/^case +mechanism +worst error +result +where$/m);
    expect(out).toMatch(/a\.safetensors +se +\d\S* +pass +\w+\./);
    expect(log).toBe("1 passed, 0 failed");
  });

  it("fails a case, not the run, for wrong values, unknown mechanisms and other files", async () => {
    const bad = mkdtempSync(join(tmpdir(), "fovea-bad-"));
    const write = (name: string, bytes: Uint8Array) => writeFileSync(join(bad, `${name}.safetensors`), bytes);
    write("1", changed("channel/se.safetensors", { tensors: (tensors) => nudge(tensors, "output.y", 1) }));
    write("2", changed("channel/se.safetensors", { case: (text) => text.replace('"se"', '"sse"') }));
    write("3", new Uint8Array(4));
    const { code, json } = await fovea("verify", bad, join(folder, "a.safetensors"), "--json");
    rmSync(bad, { recursive: true });
    expect(code).toBe(1);
    const report = json<{ passed: number; failed: number; cases: Record<string, unknown>[] }>();
    expect(report).toMatchObject({ passed: 1, failed: 3 });
    expect(report.cases.map(({ mechanism, status }) => [mechanism, status])).toEqual([
      ["se", "fail"],
      ["sse", "fail"],
      [null, "fail"],
      ["se", "pass"],
    ]);
    expect(report.cases[0]).toMatchObject({
      worst: expect.any(Number),
      where: expect.stringContaining("output.y: expected"),
    });
    expect(report.cases[1]).toMatchObject({
      worst: null,
      where: expect.stringContaining('no mechanism "sse"'),
    });
    expect(report.cases[2]!.where).toContain("4 bytes");
  });

  it.each([
    [["verify"], "missing required args"],
    [["verify", "no/such/path"], "no/such/path: no such file or folder"],
  ])("%j is wrong usage", async (args, message) => {
    const { code, log } = await fovea(...args);
    expect(log).toContain(message);
    expect(code).toBe(2);
  });

  it("wants at least one file", async () => {
    const empty = mkdtempSync(join(tmpdir(), "fovea-empty-"));
    const { code, json } = await fovea("verify", empty, "--json");
    rmSync(empty, { recursive: true });
    expect(code).toBe(2);
    expect(json()).toEqual({
      error: { name: "UsageError", message: expect.stringContaining("no .safetensors files") },
    });
  });
});

describe("fovea doctor", () => {
  it("tells what the machine has", async () => {
    const { code, json } = await fovea("doctor", "--json");
    expect(code).toBe(0);
    expect(json()).toMatchObject({
      node: process.version,
      cores: expect.any(Number),
      memoryBytes: expect.any(Number),
      onnxruntime: { version: expect.stringMatching(/^1\.30\./), threads: expect.any(Number) },
      devices: expect.arrayContaining([expect.objectContaining({ device: "cpu", available: true })]),
    });
    const { out } = await fovea("doctor");
    expect(out).toMatch(/^ONNX Runtime +1\.30\./m);
    expect(out).toMatch(/^device cpu +yes$/m);
  });
});

describe("wrong usage", () => {
  it.each([
    [[], "which command? Known are "],
    [["lst"], 'no command "lst"; did you mean list?'],
    [["list", "--famly", "x"], "list has no option --famly; did you mean --family?"],
    [["doctor", "-x"], "doctor has no option -x"],
    [["doctor", "extra"], "Unused args"],
  ])("%j", async (args, message) => {
    const { code, out, log } = await fovea(...args);
    expect(log).toContain(message);
    expect(log).not.toContain("    at ");
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });
});
