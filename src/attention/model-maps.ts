import { joinPath, type Model, modelParts } from "../graph/model.js";
import type { AnyMechanismClass } from "./catalogue.js";
import { type AttentionMap, Mechanism } from "./mechanism.js";

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
  const maps = [...modelParts(model)].flatMap(([part, module]) => {
    if (!(part instanceof Mechanism)) return [];
    const { about } = part.constructor as unknown as AnyMechanismClass;
    return Object.entries(about.maps(part.options as never)).map(([name, declaration]) => ({
      module,
      mechanism: about.id,
      name,
      tap: joinPath(module, declaration.tap ?? name),
      declaration,
    }));
  });
  return maps.filter(({ tap }, index) => maps.findIndex((other) => other.tap === tap) === index);
}
