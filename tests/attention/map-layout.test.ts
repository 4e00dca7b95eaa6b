import { describe, expect, it } from "vitest";
import { mapLayout } from "../../src/attention/map-layout.js";

const grid = (rows: number, columns: number) => ({
  form: "grid",
  prefix: 0,
  classToken: false,
  frames: 1,
  rows,
  columns,
});

describe("layout of a map", () => {
  it("takes grids from the names of the axes and the sizes that they stood for", () => {
    const declaration = { kind: "tokens", shape: ["batch", "height*width", "height*width"] } as const;
    expect(mapLayout(declaration, [1, 12, 12], { height: 2, width: 6 })).toEqual({
      axes: ["batch", "query", "key"],
      queries: grid(2, 6),
      keys: grid(2, 6),
    });
  });

  it("takes the most similar grid for a level whose size no input has", () => {
    const declaration = { kind: "tokens", shape: ["batch", "height2*width2", 5] } as const;
    expect(mapLayout(declaration, [1, 24, 5], { height: 8, width: 12 }).queries).toEqual(grid(4, 6));
    expect(mapLayout(declaration, [1, 24, 5], { height: 5, width: 60 }).queries).toEqual(grid(1, 24));
    expect(mapLayout(declaration, [1, 16, 5]).queries).toEqual(grid(4, 4));
  });

  it("knows of no grid where declared places do not make the number of tokens", () => {
    const places = { keys: { form: "grid", rows: "height", columns: "width", stride: 2 } } as const;
    const declaration = { kind: "tokens", shape: ["batch", "length", "keys"], places } as const;
    const sizes = { height: 5, width: 7 };
    expect(mapLayout(declaration, [1, 9, 6], sizes).keys).toEqual(grid(2, 3));
    expect(mapLayout(declaration, [1, 9, 12], sizes)).toEqual({ axes: ["batch", "query", "key"] });
    expect(mapLayout(declaration, [1, 9, 6])).toEqual({ axes: ["batch", "query", "key"] });
  });

  it("finds what is weighted", () => {
    const axes = (
      kind: "branch" | "temporal" | "channel-gate",
      shape: (string | number)[],
      rank = shape.length,
    ) => mapLayout({ kind, shape }, Array<number>(rank).fill(2)).axes;
    expect(axes("channel-gate", ["batch", 8, 1, 1])).toEqual(["batch", "gate", "other", "other"]);
    expect(axes("branch", ["batch", "...", 8], 4)).toEqual(["batch", "other", "other", "gate"]);
    expect(axes("channel-gate", ["batch", 8, "..."], 3)).toEqual(["batch", "gate", "other"]);
    expect(axes("temporal", ["batch", 8, "frames", 1, 1])).toEqual([
      "batch",
      "other",
      "gate",
      "other",
      "other",
    ]);
  });

  it("takes the last two axes of a plane without names as rows and columns", () => {
    const axes = (shape: (string | number)[]) => mapLayout({ kind: "spatial", shape }, [1, 2, 3]).axes;
    expect(axes(["batch", 2, 3])).toEqual(["batch", "row", "column"]);
    expect(axes(["batch", "channels", "width"])).toEqual(["batch", "head", "column"]);
  });
});
