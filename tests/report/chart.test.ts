import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type ChartPanel, chart } from "../../src/report/chart.js";
import { linePath, type Point, smoothed, thinned } from "../../src/report/series.js";
import { axis } from "../../src/report/ticks.js";

describe("axis", () => {
  it.each([
    [0, 1, {}, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]],
    [1, 2814, { integer: true }, ["1,000", "2,000"]],
    [1, 3, { integer: true }, ["1", "2", "3"]],
    [0.02, 2.4, { log: true }, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]],
    [1e-5, 10, { log: true }, ["1e-5", "0.0001", "0.001", "0.01", "0.1", "1", "10"]],
    [0.9, 1, { percent: true }, ["90 %", "92 %", "94 %", "96 %", "98 %", "100 %"]],
    [0.123, 0.131, {}, ["0.124", "0.126", "0.128", "0.130"]],
    [0, 4e6, {}, ["0", "1 M", "2 M", "3 M", "4 M"]],
    [-1, 1, {}, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]],
  ])("marks %d to %d, %j", (low, high, options, labels) =>
    expect(axis(low, high, options).labels).toEqual(labels),
  );

  it("places values, grows to the next mark and stays within bounds", () => {
    const linear = axis(0.3, 9.2, { nice: true });
    expect([linear.low, linear.high, linear.position(5)]).toEqual([0, 10, 0.5]);
    const bounded = axis(0.31, 0.995, { nice: true, bounds: [0, 1] });
    expect(bounded.high).toBe(1);
    const log = axis(0.01, 100, { log: true });
    expect(log.position(1)).toBeCloseTo(0.5, 12);
    const single = axis(7, 7, { nice: true });
    expect(single.position(7)).toBeGreaterThan(0);
    expect(single.position(7)).toBeLessThan(1);
  });
});

describe("series", () => {
  const points = (ys: readonly number[]) => ys.map((y, x): Point => [x, y]);

  it("smooths to both sides and keeps lines and gaps", () => {
    const flat = smoothed(points([2, 2, Number.NaN, 2]), 0.9).map(([, y]) => y);
    for (const i of [0, 1, 3]) expect(flat[i]).toBeCloseTo(2, 12);
    expect(flat[2]).toBeNaN();
    // weights 0.25, 0.5, 1, 0.5, 0.25 around the middle
    expect(smoothed(points([0, 0, 1, 0, 0]), 0.5)[2]![1]).toBeCloseTo(1 / 2.5, 12);
    const ramp = smoothed(points(Array.from({ length: 401 }, (_, i) => i)), 0.9);
    expect(ramp[200]![1]).toBeCloseTo(200, 6);
    expect(smoothed(points([3, 1]), 0)).toEqual(points([3, 1]));
    expect(() => smoothed([], 1)).toThrow(/smoothing: .*found 1/);
  });

  it("thins long lines to their outline", () => {
    const ys = Array.from({ length: 10_000 }, (_, i) => (i === 4321 ? 9 : i === 77 ? -9 : Math.sin(i)));
    const kept = thinned(points(ys), 100);
    expect(kept.length).toBeLessThanOrEqual(400);
    expect(kept).toContainEqual([4321, 9]);
    expect(kept).toContainEqual([77, -9]);
    expect(kept[0]![0]).toBe(0);
    expect(kept.at(-1)![0]).toBe(9999);
    expect(kept.every(([x], i) => i === 0 || x > kept[i - 1]![0])).toBe(true);
  });

  it("breaks lines at gaps", () => {
    expect(
      linePath([
        [0, 1],
        [1, 2.26],
        [2, Number.NaN],
        [3, 4],
        [4, 5],
      ]),
    ).toBe("M0 1L1 2.3M3 4L4 5");
  });
});

describe("chart", () => {
  const steps = Array.from({ length: 50 }, (_, i) => i + 1);
  const loss: ChartPanel = {
    title: "Loss",
    series: [
      { name: "training", x: steps, y: steps.map((s) => 2 / s), smoothing: 0.8 },
      { name: "validation", x: [25, 50], y: [0.2, 0.1], mark: "points" },
    ],
  };
  const accuracy: ChartPanel = {
    title: "Accuracy",
    percent: true,
    series: [{ name: "test", x: [1, 2], y: [0.9, 0.99] }],
  };
  const options = { title: "A run", xLabel: "step", panels: [loss, accuracy] };

  it("names itself and its last values for screen readers", () => {
    const svg = chart(options);
    const id = /^<svg [^>]*id="(chart-\w+)"/.exec(svg)![1];
    expect(svg).toContain(`role="img" aria-labelledby="${id}-title ${id}-desc"`);
    expect(svg).toContain(`<title id="${id}-title">A run</title>`);
    expect(svg).toContain(
      "Loss: training ends at 0.04000, validation ends at 0.1000; Accuracy: test ends at 99.00 %",
    );
  });

  it("draws raw and smoothed lines and evaluation points inside the page", async () => {
    const svg = chart(options);
    expect(svg.match(/class="raw c0"/g)).toHaveLength(1);
    expect(svg.match(/<circle class="dot f1"/g)).toHaveLength(3); // two values and the legend
    const [width, height] = /viewBox="0 0 (\S+) (\S+)"/.exec(svg)!.slice(1).map(Number) as [number, number];
    for (const [, x, y] of svg.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(0);
      expect(Number(x)).toBeLessThanOrEqual(width);
      expect(Number(y)).toBeGreaterThanOrEqual(0);
      expect(Number(y)).toBeLessThanOrEqual(height);
    }
    const { info } = await sharp(Buffer.from(svg)).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height]).toEqual([width, Math.ceil(height)]);
  });

  it("follows the reader's setting unless a theme is asked for", () => {
    expect(chart(options)).toContain("prefers-color-scheme:dark");
    const dark = chart({ ...options, theme: "dark" });
    expect(dark).not.toContain("prefers-color-scheme");
    expect(dark).toContain(".page{fill:#0d1015}");
  });

  it("keeps styles of different charts apart", () => {
    const ids = [chart(options), chart({ ...options, title: "Another" })].map(
      (svg) => /id="(chart-\w+)"/.exec(svg)![1],
    );
    expect(ids[0]).not.toBe(ids[1]);
    expect(chart(options)).toBe(chart(options));
  });

  it("escapes text, also what XML forbids", async () => {
    const panels = [
      { ...loss, title: '<b> & "q" \u0000\u001b[1m', series: [{ name: "</svg>", x: [1], y: [1] }] },
    ];
    const svg = chart({ ...options, panels, title: "a<b" });
    expect(svg).toContain("a&lt;b");
    expect(svg).not.toContain("<b>");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
    await expect(sharp(Buffer.from(svg)).metadata()).resolves.toMatchObject({ format: "svg" });
  });

  it("leaves out what a logarithm cannot show, and cuts at a given range", () => {
    const series = [{ name: "s", x: [1, 2, 3, 4], y: [1, 0, -1, 10] }];
    const svg = chart({ ...options, panels: [{ title: "t", log: true, series }] });
    expect(/class="line c0" d="(M\S+ \S+M\S+ \S+)"/.test(svg)).toBe(true);
    const cut = chart({ ...options, panels: [{ title: "t", range: [0, 0.5], series }] });
    expect(cut.match(/<svg /g)).toHaveLength(2);
    for (const range of [
      [1, 1],
      [Number.NaN, 1],
    ] as const) {
      expect(() => chart({ ...options, panels: [{ title: "t", range, series }] })).toThrow(/chart range/);
    }
    expect(() => chart({ ...options, panels: [{ title: "t", log: true, range: [0, 1], series }] })).toThrow(
      /above zero/,
    );
  });

  it("says when there are no values, and refuses what does not fit", () => {
    expect(chart({ ...options, panels: [{ title: "t", series: [] }] })).toContain("no values yet");
    expect(
      chart({ ...options, panels: [{ title: "t", series: [{ name: "s", x: [1], y: [Number.NaN] }] }] }),
    ).toContain("no values yet");
    expect(() => chart({ ...options, panels: [] })).toThrow(/at least one panel/);
    expect(() =>
      chart({ ...options, panels: [{ title: "t", series: [{ name: "s", x: [1, 2], y: [1] }] }] }),
    ).toThrow(/series "s": .*2 and 1/);
    expect(() => chart({ ...options, width: 200 })).toThrow(/chart width/);
  });
});
