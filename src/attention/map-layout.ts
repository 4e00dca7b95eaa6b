import type { Size } from "../graph/size.js";
import type { AttentionMap, TokenPlaces } from "./maps.js";
import { anyAxes, type NamedSize, namesIn, resolveSize } from "./sizes.js";

/**
 * What an axis of a map counts. `gate`: the channels, branches or time steps that are weighted, to be drawn as bars; `head`: heads, groups
 * and whatever else a map of the same form is repeated over.
 */
export type AxisRole = "batch" | "head" | "gate" | "row" | "column" | "query" | "key" | "other";

/** A grid of tokens after `prefix` learned ones. */
export interface TokenGrid {
  readonly form: "grid";
  readonly prefix: number;
  readonly classToken: boolean;
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
}

/** Where tokens lie, in numbers. */
export type PlacedTokens = TokenGrid | Exclude<TokenPlaces, { form: "grid" }>;

/** How the values of a map lie. */
export interface MapLayout {
  /** Role of each axis. */
  readonly axes: readonly AxisRole[];
  /** Of `tokens`: where the queries lie, as far as it is known. */
  readonly queries?: TokenGrid;
  /** Of `tokens`: where the keys lie, as far as it is known. */
  readonly keys?: PlacedTokens;
}

const rowNames = /^(\w*height|\w*Height|rows)\d*$/;
const columnNames = /^(\w*width|\w*Width|columns)\d*$/;
const timeNames = /^(\w*frames|\w*Frames|time|steps)\d*$/;

/**
 * The layout of a map, from what its mechanism declares and the tensor's shape.
 * @param sizes what the names of the mechanism's signature stood for
 */
export function mapLayout(
  declaration: AttentionMap,
  shape: readonly number[],
  sizes: Readonly<Record<string, Size>> = {},
): MapLayout {
  const declared = withoutGap(declaration.shape, shape.length);
  if (declaration.kind === "tokens") return tokenLayout(declaration, declared, shape, sizes);
  const axes = declared.map((size, axis): AxisRole => {
    if (axis === 0) return "batch";
    if (isNamed(size, rowNames)) return "row";
    return isNamed(size, columnNames) ? "column" : "other";
  });
  if (declaration.kind === "spatial") {
    if (!axes.includes("row") && !axes.includes("column")) {
      axes.splice(-2, 2, "row", "column");
    }
    return { axes: axes.map((role) => (role === "other" ? "head" : role)) };
  }
  const open = declaration.shape.indexOf(anyAxes);
  const time = declared.findIndex((size) => isNamed(size, timeNames));
  // `[batch, ..., 8]`: what is weighted comes last.
  const inner = open > 0 && open < declaration.shape.length - 1 ? shape.length - 1 : 1;
  const gate = declaration.kind === "temporal" && time > 0 ? time : inner;
  if (gate < axes.length) axes[gate] = "gate";
  return { axes };
}

function tokenLayout(
  { places = {} }: AttentionMap,
  declared: readonly NamedSize[],
  shape: readonly number[],
  sizes: Readonly<Record<string, Size>>,
): MapLayout {
  const row = declared.findIndex((size) => isNamed(size, rowNames));
  const column = declared.findIndex((size) => isNamed(size, columnNames));
  const keys = (axis: number) =>
    placed(places.keys, shape[axis]!, sizes) ?? namedGrid(declared[axis]!, shape[axis]!, sizes);
  const axes = declared.map((_, axis): AxisRole => (axis === 0 && shape.length > 2 ? "batch" : "head"));
  if (row > 0 && column > 0) {
    const key = axes.findLastIndex((role, axis) => role === "head" && axis !== row && axis !== column);
    [axes[row], axes[column]] = ["row", "column"];
    const queries = gridOf(1, shape[row]!, shape[column]!);
    if (key < 0) return { axes, queries };
    axes[key] = "key";
    return { axes, queries, ...optional("keys", keys(key)) };
  }
  const [query, key] = [shape.length - 2, shape.length - 1];
  [axes[query], axes[key]] = ["query", "key"];
  const ofQueries = placed(places.queries, shape[query]!, sizes);
  const queries = ofQueries?.form === "grid" ? ofQueries : namedGrid(declared[query]!, shape[query]!, sizes);
  return { axes, ...optional("queries", queries), ...optional("keys", keys(key)) };
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}

/** A declared shape of the tensor's rank. */
function withoutGap(declared: readonly NamedSize[], rank: number): NamedSize[] {
  const open = declared.indexOf(anyAxes);
  if (open < 0) return [...declared];
  return declared.toSpliced(
    open,
    1,
    ...Array<NamedSize>(Math.max(0, rank - declared.length + 1)).fill("any"),
  );
}

function isNamed(size: NamedSize, names: RegExp): boolean {
  return typeof size === "string" && names.test(size);
}

function gridOf(frames: number, rows: number, columns: number): TokenGrid {
  return { form: "grid", prefix: 0, classToken: false, frames, rows, columns };
}

/** Declared places in numbers; undefined where they do not make `count` tokens. */
function placed(
  places: TokenPlaces | undefined,
  count: number,
  sizes: Readonly<Record<string, Size>>,
): PlacedTokens | undefined {
  if (places?.form !== "grid") return places;
  const { stride = 1, prefix = 0, classToken = false } = places;
  const [frames, rows, columns] = [places.frames ?? 1, places.rows, places.columns].map((size) =>
    numberOf(size, sizes),
  );
  if (frames === undefined || rows === undefined || columns === undefined) return undefined;
  const grid = gridOf(frames, Math.floor(rows / stride), Math.floor(columns / stride));
  return fits(grid, count - prefix) ? { ...grid, prefix, classToken } : undefined;
}

function fits({ frames, rows, columns }: TokenGrid, count: number): boolean {
  return frames * rows * columns === count;
}

/** Size of a name or sum of products, where all of it is known. */
function numberOf(size: NamedSize, sizes: Readonly<Record<string, Size>>): number | undefined {
  if (!namesIn(size).every((name) => Object.hasOwn(sizes, name))) return undefined;
  const value = resolveSize(size, sizes);
  return typeof value === "number" ? value : undefined;
}

/** The grid that an axis of the name `height*width` or `frames*height*width` counts. */
function namedGrid(
  size: NamedSize,
  count: number,
  sizes: Readonly<Record<string, Size>>,
): TokenGrid | undefined {
  if (typeof size !== "string") return undefined;
  const factors = size.split("*");
  const [rows, columns] = factors.slice(-2);
  const isGrid = factors.length >= 2 && isNamed(rows!, rowNames) && isNamed(columns!, columnNames);
  if (!isGrid || factors.length > 3) return undefined;
  const [f, r, c] = [factors.length === 3 ? factors[0]! : 1, rows!, columns!].map((name) =>
    numberOf(name, sizes),
  );
  if (f !== undefined && r !== undefined && c !== undefined) {
    const grid = gridOf(f, r, c);
    if (fits(grid, count)) return grid;
  }
  if (factors.length === 3) return undefined;
  // A grid within the mechanism, such as a smaller level: the one that is most like the image that it was given.
  const aspect = (numberOf("height", sizes) ?? 1) / (numberOf("width", sizes) ?? 1);
  return nearestGrid(count, aspect);
}

/** The whole grid of `count` tokens whose rows are to its columns most nearly as `aspect`. */
function nearestGrid(count: number, aspect: number): TokenGrid {
  const divisors = Array.from({ length: count }, (_, index) => index + 1).filter((n) => count % n === 0);
  const distance = (rows: number) => Math.abs(Math.log((rows * rows) / count / aspect));
  const rows = divisors.reduce((best, n) => (distance(n) < distance(best) ? n : best), 1);
  return gridOf(1, rows, count / rows);
}
