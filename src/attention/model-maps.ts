import { joinPath, type Model, modelParts } from "../graph/model.js";
import type { Size } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { Trace } from "../graph/trace.js";
import type { AnyMechanismClass } from "./catalogue.js";
import { mapTensors } from "./maps.js";
import { type AttentionMap, Mechanism } from "./mechanism.js";
import { sizesMet } from "./met-sizes.js";

/** An attention map of a network: which module makes it and where it is tapped. */
export interface ModelMap {
  /** Path of the mechanism's module. */
  readonly module: string;
  /** Id of the mechanism. */
  readonly mechanism: string;
  /** Canonical name of the map. */
  readonly name: string;
  /** Path of the tap, for `run(model, x, { taps: [tap] })`. */
  readonly tap: string;
  readonly declaration: AttentionMap;
}

/** The attention maps of every mechanism in a network, in the order of its parts; one of a mechanism within another is the outer one's. */
export function modelMaps(model: Model): ModelMap[] {
  return [...ownMaps(model).values()];
}

/** An attention map of a network in a trace. */
export interface TracedMap extends ModelMap {
  readonly tensor: Tensor;
  /** What the names of the mechanism's signature stood for. */
  readonly sizes: Readonly<Record<string, Size>>;
}

/** The attention maps of a network that a trace of it has tapped, in the order of its parts. */
export function tracedMaps(model: Model, trace: Trace): TracedMap[] {
  const parts = new Map([...modelParts(model)].map(([part, path]) => [path, part]));
  return [...ownMaps(model).values()].flatMap((map) => {
    const { module, name, declaration } = map;
    const tensor = mapTensors({ [name]: declaration }, trace.taps, module).get(name);
    return tensor ? [{ ...map, tensor, sizes: sizesMet(trace, parts.get(module)!) }] : [];
  });
}

/** The maps by tap: the first mechanism that declares one owns it. */
function ownMaps(model: Model): Map<string, ModelMap> {
  const maps = new Map<string, ModelMap>();
  for (const [part, module] of modelParts(model)) {
    if (!(part instanceof Mechanism)) continue;
    const { about } = part.constructor as unknown as AnyMechanismClass;
    for (const [name, declaration] of Object.entries(about.maps(part.options as never))) {
      const tap = joinPath(module, declaration.tap ?? name);
      if (!maps.has(tap)) maps.set(tap, { module, mechanism: about.id, name, tap, declaration });
    }
  }
  return maps;
}
