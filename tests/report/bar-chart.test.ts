import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type BarChartOptions, barChart } from "../../src/report/bar-chart.js";

const options: BarChartOptions = {
  title: "Compared",
  subtitle: "batch 2",
  rows: ["se", "a <b>"],
  panels: [
    { title: "Count", values: [{ value: 10 }, { value: 5 }], format: String },
    {
      title: "Time",
      values: [{ value: 2, range: [1, 4] }, null],
      format: (value) => `${value} ms`,
    },
  ],
};

describe("barChart", () => {
  it("draws bars in proportion, with ranges, inside the page", async () => {
    const svg = barChart(options);
    const widths = [...svg.matchAll(/<rect class="f0"[^>]* width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(widths).toEqual([150, 75]);
    // The longest of a panel is the end of a range, too.
    expect(svg).toMatch(/<rect class="f1"[^>]* width="75"/);
    const [from, to] = /class="axis" d="M([\d.]+) [\d.]+H([\d.]+)"/.exec(svg)!.slice(1).map(Number) as [
      number,
      number,
    ];
    expect(to - from).toBeCloseTo(112.5, 0);
    const [pageWidth] = /viewBox="0 0 (\S+) (\S+)"/.exec(svg)!.slice(1).map(Number) as [number, number];
    expect(to).toBeLessThan(pageWidth);
    await expect(sharp(Buffer.from(svg)).metadata()).resolves.toMatchObject({
      format: "svg",
      width: pageWidth,
    });
  });

  it("tells its values to screen readers, and escapes text", () => {
    const svg = barChart(options);
    expect(svg).toContain("Count: se 10, a &lt;b&gt; 5; Time: se 2 ms, a &lt;b&gt; unknown</desc>");
    expect(svg).toContain(">n/a</text>");
    expect(svg).not.toContain("<b>");
  });

  it("draws zeros", () => {
    const svg = barChart({
      ...options,
      panels: [{ title: "None", values: [{ value: 0 }, { value: 0 }], format: String }],
    });
    expect(svg).not.toContain("NaN");
    expect(svg.match(/<rect class="f0"[^>]* width="0"/g)).toHaveLength(2);
  });

  it("refuses what it cannot draw", () => {
    const panel = options.panels[0]!;
    const refused = (values: BarChartOptions["panels"][number]["values"]) => () =>
      barChart({ ...options, panels: [{ ...panel, values }] });
    expect(refused([{ value: 1 }])).toThrow(/"Count": expected 2 values >= 0; found 1/);
    expect(refused([{ value: 1 }, { value: -1 }])).toThrow(/found 1, -1/);
    expect(refused([{ value: 1 }, { value: Number.NaN }])).toThrow(/found 1, NaN/);
    expect(() => barChart({ ...options, rows: [] })).toThrow("expected rows and panels");
    expect(() => barChart({ ...options, panels: [] })).toThrow("expected rows and panels");
  });
});
