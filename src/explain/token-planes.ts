import type { MapLayout, PlacedTokens, TokenGrid } from "../attention/map-layout.js";
import { OptionError } from "../base/errors.js";
import type { HeatMap } from "../report/image.js";
import { collapse, type RoleValues } from "./collapse.js";

/** Attention of queries to keys, head by head. */
export interface TokenAttention {
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  /** [heads, queries, keys] */
  readonly data: Float32Array;
}

/** The values of a map of tokens with heads, queries and keys in that order. */
export function tokenAttention(values: RoleValues): TokenAttention {
  const { data, sizes } = collapse(values, ["head", "row", "column", "query", "key"]);
  const [heads, rows, columns, queries, keys] = sizes as [number, number, number, number, number];
  return { heads, queries: rows * columns * queries, keys, data };
}

/** Draws what a query attends to. */
export interface KeyPlanes {
  readonly rows: number;
  readonly columns: number;
  /** Adds the attention of a query to each place, times `share`. */
  add(plane: Float32Array, head: number, query: number, share: number): void;
}

/** How the keys of a map are drawn as planes; undefined where their places are not known. */
export function keyPlanes(attention: TokenAttention, layout: MapLayout): KeyPlanes | undefined {
  const { keys, queries } = layout;
  const scatter = keys && scatterOf(keys, queries);
  if (!scatter) return undefined;
  const { rows, columns, place } = scatter;
  return {
    rows,
    columns,
    add(plane, head, query, share) {
      const base = (head * attention.queries + query) * attention.keys;
      for (let key = 0; key < attention.keys; key++) {
        const value = attention.data[base + key]! * share;
        if (value !== 0) place(plane, query, key, value);
      }
    },
  };
}

/** Adds the attention of a query to a key to the plane. */
interface Scatter {
  readonly rows: number;
  readonly columns: number;
  place(plane: Float32Array, query: number, key: number, value: number): void;
}

function scatterOf(keys: PlacedTokens, queries: TokenGrid | undefined): Scatter | undefined {
  if (keys.form === "grid") return onGrid(keys);
  if (!queries) return undefined;
  const { rows, columns, prefix } = queries;
  const places = rows * columns;
  if (keys.form === "pyramid") return { rows, columns, place: inPyramid(keys.sides, rows, columns) };
  if (keys.form === "cross") {
    const place = (plane: Float32Array, query: number, key: number, value: number) => {
      const at = (query - prefix) % places;
      const target = key < rows ? key * columns + (at % columns) : at - (at % columns) + (key - rows);
      plane[target]! += value;
    };
    return { rows, columns, place };
  }
  const { side, dilation, border } = keys;
  const within = (position: number, length: number) => {
    if (position >= 0 && position < length) return position;
    if (border === "none") return -1;
    const period = Math.max(1, 2 * (length - 1));
    const folded = ((position % period) + period) % period;
    return folded < length ? folded : period - folded;
  };
  const place = (plane: Float32Array, query: number, key: number, value: number) => {
    const at = (query - prefix) % places;
    const shift = (index: number) => (index - (side - 1) / 2) * dilation;
    const row = within(Math.floor(at / columns) + shift(Math.floor(key / side)), rows);
    const column = within((at % columns) + shift(key % side), columns);
    if (row >= 0 && column >= 0) plane[row * columns + column]! += value;
  };
  return { rows, columns, place };
}

/** Keys on a grid; learned tokens have no place, frames are averaged. */
function onGrid({ frames, rows, columns, prefix }: TokenGrid): Scatter {
  const place = (plane: Float32Array, _query: number, key: number, value: number) => {
    if (key >= prefix) plane[(key - prefix) % (rows * columns)]! += value / frames;
  };
  return { rows, columns, place };
}

/** Regions of several grids: the attention to one is spread evenly over its pixels. */
function inPyramid(sides: readonly number[], rows: number, columns: number) {
  /** Pixels [first, end) of a region along an axis, as in adaptive pooling. */
  const extent = (index: number, side: number, length: number) => [
    Math.floor((index * length) / side),
    Math.ceil(((index + 1) * length) / side),
  ];
  const regions = sides.flatMap((side) =>
    Array.from({ length: side * side }, (_, region) => {
      const [top, bottom] = extent(Math.floor(region / side), side, rows) as [number, number];
      const [left, right] = extent(region % side, side, columns) as [number, number];
      return { top, bottom, left, right };
    }),
  );
  return (plane: Float32Array, _query: number, key: number, value: number) => {
    const { top, bottom, left, right } = regions[key]!;
    const share = value / ((bottom - top) * (right - left));
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) plane[row * columns + column]! += share;
    }
  };
}

/** What a query attends to, averaged over the heads or of one of them. */
export function queryPlane(
  attention: TokenAttention,
  planes: KeyPlanes,
  query: number,
  head?: number,
): HeatMap {
  const plane = new Float32Array(planes.rows * planes.columns);
  const heads = head === undefined ? Array.from({ length: attention.heads }, (_, at) => at) : [head];
  for (const at of heads) planes.add(plane, at, query, 1 / heads.length);
  return { data: plane, shape: [planes.rows, planes.columns] };
}

/** How much the places are attended to by all queries on average, averaged over the heads or of one of them. */
export function receivedPlane(attention: TokenAttention, planes: KeyPlanes, head?: number): HeatMap {
  const plane = new Float32Array(planes.rows * planes.columns);
  const heads = head === undefined ? Array.from({ length: attention.heads }, (_, at) => at) : [head];
  const share = 1 / heads.length / attention.queries;
  for (const at of heads) {
    for (let query = 0; query < attention.queries; query++) planes.add(plane, at, query, share);
  }
  return { data: plane, shape: [planes.rows, planes.columns] };
}

/** Index of the query at a place of the image, whose rows and columns count from 0 to 1. @throws OptionError */
export function queryAt(grid: TokenGrid, [y, x]: readonly [y: number, x: number]): number {
  if (!(y >= 0 && y <= 1 && x >= 0 && x <= 1)) {
    throw new OptionError(`query: expected a place [y, x] from 0 to 1, found [${y}, ${x}]`);
  }
  const row = Math.min(Math.floor(y * grid.rows), grid.rows - 1);
  const column = Math.min(Math.floor(x * grid.columns), grid.columns - 1);
  const frame = Math.floor(grid.frames / 2) * grid.rows * grid.columns;
  return grid.prefix + frame + row * grid.columns + column;
}
