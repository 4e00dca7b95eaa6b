import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { withFigures, withoutFigures } from "../../bench/suite/docs.js";
import { circumstances, sectionsOf } from "../../bench/suite/report.js";
import type { NetworkResult } from "../../bench/suite/result.js";
import { parseResult } from "../../bench/suite/result.js";
import { roofline } from "../../bench/suite/roofline.js";
import { geometricMean, medianOf } from "../../bench/suite/statistics.js";
import { isMet, targetsOf } from "../../bench/suite/targets.js";
import { DataError, OptionError } from "../../src/base/errors.js";
import { exampleResult } from "./example-result.js";

const root = new URL("../../", import.meta.url);
const page = readFileSync(new URL("docs/benchmarks.md", root), "utf8");

describe("statistics", () => {
  it("means ratios geometrically", () => {
    expect(geometricMean([0.5, 2])).toBeCloseTo(1, 12);
    expect(geometricMean([0.25])).toBeCloseTo(0.25, 12);
    expect(medianOf([3, 1, 2])).toBe(2);
  });

  it("draws a roofline from what takes longer", () => {
    const rates = { operations: 1e8, bytes: 1e7 };
    expect(roofline({ operations: 1e9, bytes: 1e7 }, rates)).toEqual({ roofline: 10, bound: "operations" });
    expect(roofline({ operations: 1e7, bytes: 2e7 }, rates)).toEqual({ roofline: 2, bound: "bytes" });
  });
});

describe("a result", () => {
  it("is read back as it was written", () => {
    expect(parseResult(JSON.parse(JSON.stringify(exampleResult)), "x.json")).toEqual(exampleResult);
  });

  it("is refused where a field is missing, unknown or has another type", () => {
    const [first] = exampleResult.rows;
    for (const wrong of [
      { ...exampleResult, format: 2 },
      { ...exampleResult, rounds: "9" },
      { ...exampleResult, extra: 1 },
      { ...exampleResult, rows: [{ ...first, entries: [] }] },
      { ...exampleResult, rows: [{ ...first, kind: "other" }] },
    ]) {
      expect(() => parseResult(wrong, "x.json")).toThrow(DataError);
    }
    expect(() => parseResult({ ...exampleResult, rounds: "9" }, "x.json")).toThrow(/^x\.json: rounds: /);
  });

  it("is held against the targets", () => {
    const target = (name: string) => targetsOf(exampleResult).find((each) => each.name.startsWith(name))!;
    expect(target("inference over PyTorch")).toMatchObject({ value: expect.closeTo(0.25, 9), rows: 1 });
    expect(target("training step over PyTorch, geometric")).toMatchObject({ value: expect.closeTo(1, 9) });
    expect(isMet(target("training step over PyTorch, largest"))).toBe(false);
    expect(target("training step: peak memory")).toMatchObject({ value: 0.5 });
    expect(target("SE-ResNet-50, training")).toMatchObject({ value: 1.5, limit: 2.5 });
    expect(isMet(target("training step over jax-js"))).toBeUndefined();
    expect(isMet({ name: "", value: 0.8, limit: 0.85, atLeast: true, rows: 1 })).toBe(false);
  });

  it("compares two others where a target is about them", () => {
    const row = exampleResult.rows.find(({ id }) => id === "inference/a/32/2") as NetworkResult;
    const timed = (contestant: string, median: number) => ({
      ...row.entries[0]!,
      contestant,
      milliseconds: { median, least: median, most: median },
    });
    const entries = [
      ...row.entries,
      timed("fovea, calling thread", 8),
      timed("ONNX Runtime, PyTorch's export", 10),
    ];
    const value = (rows: NetworkResult[]) =>
      targetsOf({ rows }).find(({ name }) => name.startsWith("inference on the calling thread"))!.value;
    expect(value([{ ...row, entries }, row])).toBeCloseTo(0.8, 12);
    expect(value([row])).toBeUndefined();
  });

  it("is shown as tables, each contestant a line", () => {
    const sections = new Map(sectionsOf(exampleResult).map((section) => [section.title, section]));
    expect([...sections.keys()]).toEqual([
      "Training steps",
      "Inference",
      "Mechanisms",
      "Building a training step, ms",
      "Targets",
      "Not measured",
    ]);
    for (const { columns, rows } of sections.values()) {
      for (const row of rows) expect(row).toHaveLength(columns.length);
    }
    expect(sections.get("Training steps")!.rows[1]).toEqual([
      "",
      "PyTorch",
      "20.0",
      "10.0 to 40.0",
      "0.50",
      "50.0",
      "25 %",
      "60.0",
      "2.00 MiB",
    ]);
    expect(sections.get("Not measured")!.rows).toEqual([
      ["jax-js", "training/b/32/2, inference/a/32/2", "not installed"],
      ["all", "mechanism/detr-loss/forward", "it asks the host"],
    ]);
  });

  it("says where and with what it was measured", () => {
    const text = circumstances(exampleResult).join(" ");
    expect(text).toContain("2026-01-02 on a processor, 2 cores, 16.0 GiB");
    expect(text).toContain("fovea 1.2.3, node v20, torch 2.0");
    expect(circumstances({ ...exampleResult, quick: true })).toHaveLength(3);
  });
});

describe("docs/benchmarks.md", () => {
  it("has the figures of the stored result, and no others", () => {
    const stored = new URL("bench/results/latest.json", root);
    const expected = existsSync(stored)
      ? withFigures(page, parseResult(JSON.parse(readFileSync(stored, "utf8")), "latest.json"))
      : withoutFigures(page);
    expect(page).toBe(expected);
  });

  it("gets the figures between its marks, again and again", () => {
    const once = withFigures(page, exampleResult);
    expect(once).toContain("### Training steps");
    expect(withFigures(once, exampleResult)).toBe(once);
    expect(withoutFigures(once)).toBe(withoutFigures(page));
    expect(() => withFigures("no marks", exampleResult)).toThrow(OptionError);
  });

  it("refuses runs that are too short", () => {
    expect(() => withFigures(page, { ...exampleResult, quick: true })).toThrow(OptionError);
    expect(() => withFigures(page, { ...exampleResult, rounds: 6 })).toThrow(OptionError);
  });
});
