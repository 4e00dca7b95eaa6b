import { joinPath } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { concat, reshape } from "../ops/shape.js";
import type { NamedSize } from "./sizes.js";

/** What a map shows, which decides how it is drawn. */
export type MapKind = "channel-gate" | "spatial" | "tokens" | "branch" | "temporal" | "glimpse";

/**
 * Where the tokens along an axis of a map of the kind `tokens` lie in the image.
 * `grid`: row by row, every `stride`-th pixel of rows x columns, after `prefix` learned tokens, the first of which may be the class token;
 * `pyramid`: the regions of several grids of side x side regions, one grid after the other; `window`: the side x side pixels around the
 * query; `cross`: the pixels of the query's column, then those of its row.
 */
export type TokenPlaces =
  | {
      readonly form: "grid";
      readonly frames?: NamedSize;
      readonly rows: NamedSize;
      readonly columns: NamedSize;
      /** 1 by default. */
      readonly stride?: number;
      /** 0 by default. */
      readonly prefix?: number;
      readonly classToken?: boolean;
    }
  | { readonly form: "pyramid"; readonly sides: readonly number[] }
  | {
      readonly form: "window";
      readonly side: number;
      readonly dilation: number;
      /** Pixels beyond the border: `none`, or those within, mirrored. */
      readonly border: "none" | "mirrored";
    }
  | { readonly form: "cross" };

/** An attention map as a mechanism declares it. */
export interface AttentionMap {
  readonly kind: MapKind;
  readonly shape: readonly NamedSize[];
  /** Closed range of its values. */
  readonly range?: readonly [number, number];
  /** Axes over which its values together sum to one; negative ones count from the last. */
  readonly sumsToOne?: readonly number[];
  /** Path of the tap it comes from, below the mechanism's; by default the map's own name. */
  readonly tap?: string;
  /** A new axis of the map along which the taps of that path, one per call (`tap`, `tap#2` ...), are stacked. */
  readonly stack?: number;
  /** Of `tokens`: where they lie, for drawing; an axis that is named by its grid (`height*width`) tells it by its name. */
  readonly places?: { readonly queries?: TokenPlaces; readonly keys?: TokenPlaces };
  /** Calls that make it; all by default. */
  readonly calls?: readonly string[];
}

/**
 * The attention maps of a traced mechanism by canonical name, from the taps of the trace; those whose tap is absent are left out.
 * @param path the mechanism's module path in the traced model
 */
export function mapTensors(
  maps: Readonly<Record<string, AttentionMap>>,
  taps: ReadonlyMap<string, Tensor>,
  path = "",
): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const [name, { tap = name, stack }] of Object.entries(maps)) {
    const tensor =
      stack === undefined ? taps.get(joinPath(path, tap)) : stacked(joinPath(path, tap), stack, taps);
    if (tensor) found.set(name, tensor);
  }
  return found;
}

/** The taps of one path, in the order of the calls, joined along a new axis. */
function stacked(path: string, axis: number, taps: ReadonlyMap<string, Tensor>): Tensor | undefined {
  const parts: Tensor[] = [];
  for (let tap = taps.get(path); tap; tap = taps.get(`${path}#${parts.length + 1}`)) parts.push(tap);
  if (parts.length === 0) return undefined;
  const slices = parts.map((part) => {
    // The batch may be symbolic.
    const sizes = part.shape.map((size) => (typeof size === "number" ? size : -1));
    return reshape(part, { shape: sizes.toSpliced(axis, 0, 1) });
  });
  return concat(slices, { axis });
}
