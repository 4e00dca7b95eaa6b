import { modelMaps } from "../../attention/model-maps.js";
import { parameterCount, trace } from "../../graph/model.js";
import * as models from "../../models/registry.js";
import { graphCost } from "../../report/cost.js";
import { table } from "../../report/table.js";
import { formatCount, formatInteger } from "../../report/units.js";

/** What `fovea list models` tells of a network, built with its defaults. */
export interface NetworkFacts extends Omit<models.ModelInfo, "name"> {
  readonly name: string;
  /** Trained values. */
  readonly parameters: number;
  /** Multiply-accumulates of products and convolutions for one image of the size that it was designed for. */
  readonly macs: number;
  /** Ids of the mechanisms in it. */
  readonly mechanisms: readonly string[];
  /** True where its blocks take any mechanism that keeps the shape. */
  readonly hostsAttention: boolean;
}

/** Builds and traces a network to know what it costs. */
export function networkFacts(info: models.ModelInfo): NetworkFacts {
  const model = models.create(info.name);
  const { inChannels = 3 } = info.defaults;
  const graph = trace(model, { shape: [1, inChannels, info.imageSize, info.imageSize] });
  return {
    ...info,
    parameters: parameterCount(model),
    macs: graphCost(graph.outputs.values()).macs,
    mechanisms: [...new Set(modelMaps(model).map(({ mechanism }) => mechanism))],
    hostsAttention: "attention" in info.defaults,
  };
}

/** Networks with their cost as a table. */
export function networkTable(networks: readonly NetworkFacts[]): string {
  return table(
    [
      "name",
      "parameters",
      "macs",
      "image",
      "attention",
      { header: "hosts", align: "left" },
      { header: "paper", align: "left" },
    ],
    networks.map(({ name, parameters, macs, imageSize, mechanisms, hostsAttention, paper }) => [
      name,
      formatInteger(parameters),
      formatCount(macs),
      imageSize,
      mechanisms.join(", ") || "none",
      hostsAttention ? "any" : "-",
      paper,
    ]),
  );
}
