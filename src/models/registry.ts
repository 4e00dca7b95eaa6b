import { OptionError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import { didYouMean } from "../base/suggestion.js";
import type { ImageModel } from "./image-model.js";
import { mobileNetworks } from "./mobile-networks.js";
import { type ModelOptions, type Network, networkOptions } from "./network.js";
import { residualNetworks } from "./residual-networks.js";
import { segmentationNetworks } from "./segmentation-networks.js";
import { visionTransformers } from "./vision-transformers.js";

const networks = {
  ...residualNetworks,
  ...mobileNetworks,
  ...visionTransformers,
  ...segmentationNetworks,
} satisfies Record<string, Network>;

/** Names of the networks. */
export type ModelName = keyof typeof networks;

/** What the registry knows about a network. */
export interface ModelInfo extends Omit<Network, "build"> {
  readonly name: string;
}

/** What to look for. */
export interface ModelQuery {
  /** Pattern for names, `*` for any characters; case does not matter. */
  readonly match?: string;
  readonly task?: Network["task"];
}

/** What is known about the networks that fit. */
export function list(query: ModelQuery = {}): ModelInfo[] {
  return Object.keys(networks)
    .map(info)
    .filter(({ task }) => query.task === undefined || task === query.task)
    .filter(
      ({ name }) => query.match === undefined || matchesPattern(name, query.match, { ignoreCase: true }),
    );
}

/**
 * What is known about a network; a name may be written with hyphens, underscores or neither.
 * @throws OptionError for an unknown name, which suggests near ones
 */
export function info(name: string): ModelInfo {
  const known = find(name);
  const { description, task, paper, imageSize, defaults } = networks[known];
  return { name: known, description, task, paper, imageSize, defaults };
}

/**
 * Builds a network by its name: `create("resnet18", { numClasses: 10, attention: "cbam" })`.
 * @throws OptionError for an unknown name, an option that the network does not take, a refused value, or a mechanism that does not fit
 */
export function create(name: ModelName | (string & {}), options: ModelOptions = {}): ImageModel {
  const known = find(name);
  const found: Network = networks[known];
  return found.build(networkOptions(known, found, options));
}

function find(name: string): ModelName {
  const names = Object.keys(networks) as ModelName[];
  const known = names.find((candidate) => unseparated(candidate) === unseparated(name));
  if (known !== undefined) return known;
  throw new OptionError(`no model "${name}"; ${didYouMean(name, names)}`);
}

function unseparated(name: string): string {
  return name.replaceAll(/[-_]/g, "");
}
