import { describe, expect, it } from "vitest";
import type { PlacedTokens, TokenGrid } from "../../src/attention/map-layout.js";
import { collapse } from "../../src/explain/collapse.js";
import { mapViews } from "../../src/explain/map-views.js";
import {
  keyPlanes,
  queryAt,
  queryPlane,
  receivedPlane,
  tokenAttention,
} from "../../src/explain/token-planes.js";

function grid(rows: number, columns: number, more: Partial<TokenGrid> = {}): TokenGrid {
  return { form: "grid", prefix: 0, classToken: false, frames: 1, rows, columns, ...more };
}

/** The plane of one query whose attention to key k is k + 1. */
function planeOf(keys: PlacedTokens, queries: TokenGrid, count: number, query: number): number[] {
  const number = queries.prefix + queries.frames * queries.rows * queries.columns;
  const data = Float32Array.from({ length: number * count }, (_, at) => (at % count) + 1);
  const attention = { heads: 1, queries: number, keys: count, data };
  return [...queryPlane(attention, keyPlanes(attention, { axes: [], queries, keys })!, query).data];
}

describe("what a query attends to", () => {
  it("lies row by row on a grid, after the learned tokens; frames are averaged", () => {
    expect(planeOf(grid(2, 2, { prefix: 1 }), grid(2, 2, { prefix: 1 }), 5, 0)).toEqual([2, 3, 4, 5]);
    expect(planeOf(grid(1, 2, { frames: 2 }), grid(1, 2), 4, 0)).toEqual([2, 3]);
  });

  it("lies around it in a window", () => {
    const window = { form: "window", side: 3, dilation: 1, border: "none" } as const;
    expect(planeOf(window, grid(3, 4), 9, 5)).toEqual([1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0]);
    // The corner: what lies beyond the border is left out, or mirrored without the border's own pixels.
    expect(planeOf(window, grid(3, 3), 9, 0)).toEqual([5, 6, 0, 8, 9, 0, 0, 0, 0]);
    const mirrored = { ...window, border: "mirrored" } as const;
    expect(planeOf(mirrored, grid(3, 3), 9, 0)).toEqual([5, 4 + 6, 0, 2 + 8, 1 + 3 + 7 + 9, 0, 0, 0, 0]);
    const dilated = { ...window, dilation: 2 } as const;
    expect(planeOf(dilated, grid(3, 3), 9, 0)).toEqual([5, 0, 6, 0, 0, 0, 8, 0, 9]);
  });

  it("lies in its column, then in its row, in a cross", () => {
    // Keys 1 and 2 are the rows of column 1; 3, 4 and 5 the columns of row 1.
    expect(planeOf({ form: "cross" }, grid(2, 3), 5, 4)).toEqual([0, 1, 0, 3, 2 + 4, 5]);
  });

  it("is spread over the regions of a pyramid", () => {
    // One region of four pixels, then four of one.
    expect(planeOf({ form: "pyramid", sides: [1, 2] }, grid(2, 2), 5, 3)).toEqual([2.25, 3.25, 4.25, 5.25]);
  });

  it("is not drawn where the places of the keys are not known", () => {
    const attention = { heads: 1, queries: 2, keys: 3, data: new Float32Array(6) };
    expect(keyPlanes(attention, { axes: [], queries: grid(1, 2) })).toBeUndefined();
    expect(keyPlanes(attention, { axes: [], keys: { form: "cross" } })).toBeUndefined();
  });
});

it("queries that lie nowhere have a picture each", () => {
  const declaration = { kind: "tokens", range: [0, 1] } as const;
  const axes = ["head", "query", "key"] as const;
  const data = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const layout = { axes, keys: grid(1, 2) };
  const views = mapViews({ data, shape: [2, 2, 2], axes, layout, declaration });
  expect(views.map((view) => [view.label, view.form === "heat" && [...view.heat.data]])).toEqual([
    ["all queries, mean of 2 heads", [4, 5]],
    ["head 1", [2, 3]],
    ["head 2", [6, 7]],
    ["query 1, mean of 2 heads", [3, 4]],
    ["query 2, mean of 2 heads", [5, 6]],
  ]);
});

it("heads and queries are averaged, whatever the order of the axes", () => {
  // [key, head, row, column]: 2 keys, 2 heads, 1 x 2 queries.
  const values = {
    data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    shape: [2, 2, 1, 2],
    axes: ["key", "head", "row", "column"],
  } as const;
  const attention = tokenAttention(values);
  expect(attention).toEqual({ heads: 2, queries: 2, keys: 2, data: Float32Array.of(1, 5, 2, 6, 3, 7, 4, 8) });
  const planes = keyPlanes(attention, { axes: [], keys: grid(1, 2) })!;
  expect([...queryPlane(attention, planes, 1).data]).toEqual([3, 7]);
  expect([...queryPlane(attention, planes, 1, 0).data]).toEqual([2, 6]);
  expect([...receivedPlane(attention, planes).data]).toEqual([2.5, 6.5]);
  expect([...receivedPlane(attention, planes, 1).data]).toEqual([3.5, 7.5]);
});

it("the query at a place is that of the grid's cell there", () => {
  const queries = grid(2, 3, { prefix: 1 });
  expect(
    [
      [0, 0],
      [0, 1],
      [1, 0],
      [0.5, 0.5],
      [1, 1],
    ].map(([y, x]) => queryAt(queries, [y!, x!])),
  ).toEqual([1, 3, 4, 5, 6]);
  expect(() => queryAt(queries, [0, -1])).toThrow(/a place \[y, x\] from 0 to 1, found \[0, -1\]/);
});

it("axes of other roles are averaged, or their largest value is taken", () => {
  const values = {
    data: Float32Array.of(1, 5, 3, 7, 2, 0, 4, 8),
    shape: [2, 2, 2],
    axes: ["head", "row", "column"],
  } as const;
  expect(collapse(values, ["column", "row"])).toEqual({
    data: Float32Array.of(1.5, 3.5, 2.5, 7.5),
    sizes: [2, 2],
  });
  expect(collapse(values, ["row"], "max")).toEqual({ data: Float32Array.of(5, 8), sizes: [2] });
  expect(collapse(values, ["gate", "head"])).toEqual({ data: Float32Array.of(4, 3.5), sizes: [1, 2] });
});
