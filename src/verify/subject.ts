import { mechanismClass } from "../attention/catalogue.js";
import { mapTensors } from "../attention/maps.js";
import type { Mechanism } from "../attention/mechanism.js";
import { callArgument } from "../attention/signature.js";
import type { HostTensor } from "../base/dtype.js";
import type { Graph, Model, Outputs } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { fromArchitecture } from "../models/architecture.js";
import type { GoldenCase } from "./golden-case.js";

/** What a golden case is about. */
export interface Subject {
  readonly module: Model;
  call(inputs: Readonly<Record<string, Tensor>>): Outputs;
  /** Refuses values that a trace cannot see. @throws DataError */
  checkValues(inputs: Readonly<Record<string, HostTensor>>): void;
  /** Maps of a trace by their canonical names. */
  maps(graph: Graph): Iterable<readonly [string, Tensor]>;
}

/** `mechanism` of a case that is about a whole network. */
const wholeNetwork = "model";

/** Builds what a case is about. @throws OptionError for an unknown mechanism or refused options */
export function createSubject({ mechanism, options }: GoldenCase): Subject {
  return mechanism === wholeNetwork ? networkSubject(options) : mechanismSubject(mechanism, options);
}

/** A mechanism; its maps are those of its catalogue entry. */
function mechanismSubject(
  id: string,
  { call: given = "forward", ...options }: GoldenCase["options"],
): Subject {
  const type = mechanismClass(id);
  const call = String(given);
  const module: Mechanism = new type(options as never);
  return {
    module,
    call: (inputs) => {
      const methods = module as unknown as Record<string, (argument: unknown) => Outputs>;
      return methods[call]!(callArgument(module.signature(call), inputs));
    },
    checkValues: (inputs) => module.checkValues(call, inputs),
    maps: ({ taps }) => mapTensors(type.about.maps(module.options as never), taps),
  };
}

/** A network of one image input; its maps are its intermediate features. */
function networkSubject(options: GoldenCase["options"]): Subject {
  const module = fromArchitecture(options);
  return {
    module,
    call: ({ x }) => module.forward(x!),
    checkValues: () => {},
    maps: ({ taps }) => Object.entries(module.features).map(([name, path]) => [name, taps.get(path)!]),
  };
}
