import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type FlamePart, flameChart } from "../../src/report/flame-chart.js";

const leaf = (name: string, value: number): FlamePart => ({ name, value, color: 1, parts: [] });
const root: FlamePart = {
  name: "all",
  value: 10,
  color: 0,
  parts: [{ name: "a <b>", value: 2, color: 0, parts: [leaf("inner", 1)] }, leaf("c", 7)],
};
const format = (value: number) => `${value} ms`;

/** Rectangles of parts in the order in which they are drawn. */
function rectangles(svg: string) {
  const pattern = /<title>([^<:]*): [^<]*<\/title><rect [^>]*x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"/g;
  return [...svg.matchAll(pattern)].map(([, name, x, y, width]) => ({
    name,
    x: Number(x),
    y: Number(y),
    width: Number(width),
  }));
}

describe("flameChart", () => {
  it("draws parts in proportion below what they belong to, the largest first", async () => {
    const svg = flameChart({ title: "t", subtitle: "s", root, format, legend: ["module", "operator"] });
    const [all, c, a, inner] = rectangles(svg) as [Box, Box, Box, Box];
    expect([all, c, a, inner].map(({ name }) => name)).toEqual(["all", "c", "a &lt;b&gt;", "inner"]);
    expect(c.width / all.width).toBeCloseTo(0.7, 2);
    expect(a.width / all.width).toBeCloseTo(0.2, 2);
    expect([c.x, a.x - c.x]).toEqual([all.x, expect.closeTo(c.width, -1)]);
    expect(inner.x).toBe(a.x);
    expect([c.y, a.y, inner.y].map((y) => y - all.y)).toEqual([22, 22, 44]);
    expect(svg).toContain("<title>c: 7 ms, 70.0 %</title>");
    expect(svg).toContain("all 10 ms, c 7 ms, a &lt;b&gt; 2 ms</desc>");
    const [width] = /viewBox="0 0 (\S+)/.exec(svg)!.slice(1).map(Number) as [number];
    expect(all.x + all.width).toBeLessThan(width);
    await expect(sharp(Buffer.from(svg)).metadata()).resolves.toMatchObject({ format: "svg", width });
  });

  it("leaves out what is too narrow to be seen", () => {
    const svg = flameChart({ title: "t", root: { ...root, parts: [leaf("tiny", 1e-4)] }, format });
    expect(rectangles(svg).map(({ name }) => name)).toEqual(["all"]);
  });

  it("refuses parts that are more than the whole, and nothing at all", () => {
    const draw = (part: FlamePart) => () => flameChart({ title: "t", root: part, format });
    expect(draw({ ...root, value: 8 })).toThrow('flame chart: "all" is 8, its parts 9');
    expect(draw(leaf("none", 0))).toThrow("flame chart: the whole is 0");
    expect(draw({ ...root, parts: [leaf("less", -1)] })).toThrow('"less" is -1');
  });
});

interface Box {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}
