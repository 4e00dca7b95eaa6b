import { type MapLayout, mapLayout, type TokenGrid } from "../attention/map-layout.js";
import { type TracedMap, tracedMaps } from "../attention/model-maps.js";
import { OptionError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import { trace } from "../graph/model.js";
import { concreteShape } from "../graph/size.js";
import { Tensor } from "../graph/tensor.js";
import { requireTrace } from "../graph/trace.js";
import type { ExplainableModel, ExplainOptions } from "./types.js";

/** An attention map whose layout is known. */
export interface LaidOutMap extends Omit<TracedMap, "tensor" | "mechanism"> {
  readonly mechanism?: string;
  readonly tensor: Tensor;
  readonly shape: readonly number[];
  readonly layout: MapLayout;
}

/** What one forward pass of a network shows. */
export interface Pass {
  /** [N, K], where the network is a classifier. */
  readonly logits?: Tensor;
  readonly taps: ReadonlyMap<string, Tensor>;
  /** The maps that its mechanisms declare. */
  readonly maps: readonly LaidOutMap[];
}

/** Runs the network's `forward` inside of a trace. */
export function forwardPass(model: ExplainableModel, x: Tensor, options: Pick<ExplainOptions, "grid">): Pass {
  const result = model.forward(x);
  const context = requireTrace("explain");
  const maps = tracedMaps(model, context).map((map): LaidOutMap => {
    const shape = concreteShape(map.tensor.shape);
    return { ...map, shape, layout: withGrid(mapLayout(map.declaration, shape, map.sizes), shape, options) };
  });
  const isClassifier = result instanceof Tensor && result.rank === 2 && result.dtype === "float32";
  return { ...(isClassifier ? { logits: result } : {}), taps: context.taps, maps };
}

/** The network's structure: a forward pass that is only traced. */
export function probe(
  model: ExplainableModel,
  imageShape: readonly number[],
  options: Pick<ExplainOptions, "grid">,
): Pass {
  let found: Pass | undefined;
  const observe = (x: Tensor) => {
    found = forwardPass(model, x, options);
    return found.logits ?? x;
  };
  trace(observe, { shape: [1, ...imageShape] }, { model });
  return found!;
}

/** The layout with the grid that the caller tells, where the mechanism does not. */
function withGrid(
  layout: MapLayout,
  shape: readonly number[],
  { grid }: Pick<ExplainOptions, "grid">,
): MapLayout {
  if (!grid) return layout;
  const { rows, columns, prefix = 0, classToken = false } = grid;
  const told: TokenGrid = { form: "grid", frames: 1, rows, columns, prefix, classToken };
  const tokensOf = (role: "query" | "key") => shape[layout.axes.indexOf(role)];
  const fits = (role: "query" | "key") => tokensOf(role) === prefix + rows * columns;
  return {
    ...layout,
    ...(!layout.queries && fits("query") ? { queries: told } : {}),
    ...(!layout.keys && fits("key") ? { keys: told } : {}),
  };
}

/** True where a tap's path fits one of the patterns. */
export function fitsAny(tap: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matchesPattern(tap, pattern));
}

/** The grid of a sequence of tokens: that of the maps with as many of them. */
export function gridOfTokens(
  count: number,
  { maps }: Pass,
  { grid }: Pick<ExplainOptions, "grid">,
): TokenGrid | undefined {
  const found = maps.find(
    ({ layout, shape }) => layout.queries && shape[layout.axes.indexOf("query")] === count,
  );
  if (found) return found.layout.queries;
  if (!grid || (grid.prefix ?? 0) + grid.rows * grid.columns !== count) return undefined;
  return { form: "grid", frames: 1, prefix: 0, classToken: false, ...grid };
}

/** A classifier's logits. @throws OptionError for other networks */
export function requireLogits({ logits }: Pass): Tensor {
  if (logits) return logits;
  throw new OptionError("explain: the network returns no logits [N, classes]");
}
