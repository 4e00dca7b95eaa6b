import { elementCount, type HostTensor } from "../base/dtype.js";
import type { HeatMap } from "../report/image.js";
import type { MapView } from "../report/map-view.js";
import { mapViews, type ViewOptions } from "./map-views.js";
import type { LaidOutMap } from "./probe.js";
import type { ExplainedMap } from "./types.js";

/** A map of a mechanism with the values of one image: those of a batch of one. */
export function explainedMap(
  map: LaidOutMap,
  { data, shape }: HostTensor,
  options: ViewOptions,
): ExplainedMap {
  const { tap, module, mechanism, name, declaration, layout } = map;
  const isBatch = layout.axes[0] === "batch" && shape[0] === 1;
  const axes = isBatch ? layout.axes.slice(1) : layout.axes.map((role) => (role === "batch" ? "head" : role));
  const values = {
    dtype: "float32",
    shape: isBatch ? shape.slice(1) : shape,
    data: data as Float32Array,
  } as const;
  return {
    tap,
    module,
    ...(mechanism === undefined ? {} : { mechanism }),
    name,
    kind: declaration.kind,
    values,
    axes,
    layout: { ...layout, axes },
    views: mapViews({ ...values, axes, layout, declaration }, options),
  };
}

/** A plane that a method has computed for a class. */
export function classMap(
  plane: HeatMap,
  about: {
    readonly tap: string;
    readonly name: string;
    readonly class: number;
    readonly signed: boolean;
    /** The values that the plane sums up, [channels, rows, columns]; the plane's own by default. */
    readonly values?: HostTensor & { readonly data: Float32Array };
  },
): ExplainedMap {
  const values = about.values ?? { dtype: "float32", shape: plane.shape, data: plane.data };
  const axes =
    values.shape.length === 3 ? (["head", "row", "column"] as const) : (["row", "column"] as const);
  const view: MapView = {
    form: "heat",
    label: `class ${about.class}`,
    heat: plane,
    overImage: true,
    signed: about.signed,
  };
  return {
    tap: about.tap,
    module: "",
    name: about.name,
    kind: "spatial",
    class: about.class,
    values,
    axes,
    layout: { axes },
    views: [view],
  };
}

/** The sum over the channels of values [C, H, W]. */
export function sumOverChannels(data: Float32Array, [channels, height, width]: readonly number[]): HeatMap {
  const size = elementCount([height!, width!]);
  const plane = new Float32Array(size);
  for (let at = 0; at < channels! * size; at++) plane[at % size]! += data[at]!;
  return { data: plane, shape: [height!, width!] };
}
