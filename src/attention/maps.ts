import { joinPath } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { concat, reshape } from "../ops/shape.js";
import type { NamedSize } from "./sizes.js";

/** What a map shows, which decides how it is drawn. */
export type MapKind = "channel-gate" | "spatial" | "tokens" | "branch" | "temporal" | "glimpse";

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
