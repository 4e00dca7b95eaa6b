import type { AxisRole, MapLayout } from "../attention/map-layout.js";
import type { AttentionMap } from "../attention/maps.js";
import type { HeatMap } from "../report/image.js";
import type { HeatView, MapView } from "../report/map-view.js";
import { collapse, type RoleValues } from "./collapse.js";
import {
  keyPlanes,
  queryAt,
  queryPlane,
  receivedPlane,
  type TokenAttention,
  tokenAttention,
} from "./token-planes.js";

/** The most heads, codewords or maps of one tap that get a picture each. */
const maxParts = 16;

/** What is needed to draw a map. */
export interface DrawableMap extends RoleValues {
  readonly layout: MapLayout;
  readonly declaration: Pick<AttentionMap, "kind" | "range" | "sumsToOne">;
}

/** Options of `mapViews`. */
export interface ViewOptions {
  /** Place [y, x] of the query whose attention is shown where there is no class token, each from 0 to 1; the middle by default. */
  readonly query?: readonly [y: number, x: number];
}

/** Pictures of a map as values: the whole of it first, then its parts (heads, single maps, a query). */
export function mapViews(map: DrawableMap, options: ViewOptions = {}): MapView[] {
  const { kind } = map.declaration;
  if (kind === "tokens") return tokenViews(map, options);
  if (kind === "spatial") return spatialViews(map);
  return gateViews(map);
}

function heatView(label: string, heat: HeatMap, overImage = true): HeatView {
  return { form: "heat", label, heat, overImage, signed: false };
}

/** The mean of several planes; their largest value where they sum to one at each place, as their mean is all the same. */
function spatialViews(map: DrawableMap): MapView[] {
  const { sumsToOne = [] } = map.declaration;
  const competing = sumsToOne.some((axis) => map.axes.at(axis < 0 ? axis : axis - dropped(map)) === "head");
  const plane = (how: "mean" | "max") => collapse(map, ["row", "column"], how);
  const { data, sizes } = plane(competing ? "max" : "mean");
  const whole: HeatMap = { data, shape: sizes };
  const parts = collapse(map, ["head", "row", "column"]);
  const count = parts.sizes[0]!;
  const label = count === 1 ? "map" : `${competing ? "largest" : "mean"} of ${count} maps`;
  return [heatView(label, whole), ...partViews(parts.data, count, sizes, "map")];
}

/** Axes that the values have less than their declaration: the batch's. */
function dropped(map: DrawableMap): number {
  return map.layout.axes.length - map.axes.length;
}

function partViews(
  data: Float32Array,
  count: number,
  shape: readonly number[],
  name: string,
  overImage = true,
): MapView[] {
  if (count < 2 || count > maxParts) return [];
  const size = data.length / count;
  return Array.from({ length: count }, (_, index) =>
    heatView(
      `${name} ${index + 1}`,
      { data: data.slice(index * size, (index + 1) * size), shape },
      overImage,
    ),
  );
}

function gateViews(map: DrawableMap): MapView[] {
  const { data } = collapse(map, ["gate"]);
  const { range, kind } = map.declaration;
  const name = { branch: "branches", temporal: "time steps" }[kind as string] ?? "channels";
  const bars: MapView = {
    form: "bars",
    label: `${data.length} ${name}`,
    values: data,
    ...(range ? { range } : {}),
  };
  const spatial = (["row", "column"] as AxisRole[]).every((role) => map.axes.includes(role));
  if (!spatial) return [bars];
  const { data: plane, sizes } = collapse(map, ["row", "column"]);
  return [bars, heatView("mean", { data: plane, shape: sizes })];
}

function tokenViews(map: DrawableMap, options: ViewOptions): MapView[] {
  const attention = tokenAttention(map);
  const { queries } = map.layout;
  const planes = keyPlanes(attention, map.layout);
  const heads = Array.from({ length: attention.heads }, (_, head) => head);
  const perHead = (heat: (head: number) => HeatMap) =>
    heads.length < 2 ? [] : heads.slice(0, maxParts).map((head) => heatView(`head ${head + 1}`, heat(head)));
  const ofHeads = heads.length < 2 ? "" : `, mean of ${heads.length} heads`;
  if (planes && queries?.classToken) {
    return [
      heatView(`class token${ofHeads}`, queryPlane(attention, planes, 0)),
      ...perHead((head) => queryPlane(attention, planes, 0, head)),
    ];
  }
  if (planes) {
    const whole = heatView(`all queries${ofHeads}`, receivedPlane(attention, planes));
    const ofHead = perHead((head) => receivedPlane(attention, planes, head));
    if (!queries) {
      const objects = Array.from({ length: attention.queries }, (_, query) =>
        heatView(`query ${query + 1}${ofHeads}`, queryPlane(attention, planes, query)),
      );
      return [whole, ...ofHead, ...(objects.length > 1 ? objects.slice(0, maxParts) : [])];
    }
    const place = options.query ?? [0.5, 0.5];
    const query = queryAt(queries, place);
    const at = (query - queries.prefix) % (queries.rows * queries.columns);
    const [row, column] = [Math.floor(at / queries.columns), at % queries.columns];
    const one = heatView(
      `query at row ${row + 1}, column ${column + 1}${ofHeads}`,
      queryPlane(attention, planes, query),
    );
    return [whole, ...ofHead, one];
  }
  if (queries && queries.prefix + queries.frames * queries.rows * queries.columns === attention.queries) {
    return assignmentViews(map, attention, queries);
  }
  const matrix = collapse(map, ["query", "row", "column", "key"]);
  const shape = [attention.queries, attention.keys];
  const whole = heatView(`queries x keys${ofHeads}`, { data: matrix.data, shape }, false);
  return [whole, ...partViews(attention.data, attention.heads, shape, "head", false)];
}

/** Queries that lie in the image, keys that do not, such as codewords or features. */
function assignmentViews(
  map: DrawableMap,
  attention: TokenAttention,
  { prefix, frames, rows, columns }: { prefix: number; frames: number; rows: number; columns: number },
): MapView[] {
  const { range, sumsToOne } = map.declaration;
  const isShare = range !== undefined && range[0] >= 0;
  const mean = collapse(map, ["query", "row", "column", "key"]).data;
  const places = rows * columns;
  const ofKeys = Array.from({ length: attention.keys }, () => new Float32Array(places));
  for (let token = prefix; token < attention.queries; token++) {
    for (let key = 0; key < attention.keys; key++) {
      ofKeys[key]![(token - prefix) % places]! += mean[token * attention.keys + key]! / frames;
    }
  }
  const whole = Float32Array.from({ length: places }, (_, at) => {
    const values = ofKeys.map((plane) => plane[at]!);
    if (isShare && sumsToOne) return Math.max(...values);
    return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  });
  const label = isShare && sumsToOne ? "largest share" : "root mean square";
  const shape = [rows, columns];
  const parts = attention.keys <= maxParts && isShare ? ofKeys : [];
  return [
    heatView(`${label} of ${attention.keys} keys`, { data: whole, shape }),
    ...parts.map((data, key) => heatView(`key ${key + 1}`, { data, shape })),
  ];
}
