import { mechanisms } from "../attention/catalogue.js";
import { type Family, families } from "../attention/mechanism.js";
import { didYouMean } from "../base/suggestion.js";
import * as models from "../models/registry.js";
import { table } from "../report/table.js";
import {
  type Command,
  type CommandCall,
  type GivenOptions,
  textOption,
  UsageError,
  writeJson,
} from "./command.js";
import { networkFacts, networkTable } from "./list/networks.js";

/** What can be listed. */
const lists = { mechanisms: listMechanisms, models: listModels };

/** `fovea list`: the catalogue of mechanisms, or the networks. */
export const list: Command = {
  usage: "list [what]",
  summary: "List the attention mechanisms, or the networks: list models",
  options: [
    ["--family <family>", `Only mechanisms of this family: ${families.join(", ")}`],
    ["--match <pattern>", "Only ids and names that fit, * for any characters"],
  ],
  examples: [
    "fovea list --family spatial",
    "fovea list --match '*non-local*'",
    "fovea list models",
    "fovea list models --match '*resnet18' --json",
  ],
  async run(call) {
    const [what = "mechanisms"] = call.args;
    if (!Object.hasOwn(lists, what)) {
      throw new UsageError(`no list of "${what}"; known are ${Object.keys(lists).join(", ")}`);
    }
    lists[what as keyof typeof lists](call);
    return 0;
  },
};

function listMechanisms({ options, json, output }: CommandCall): void {
  const family = familyOption(options);
  const found = mechanisms({ ...(family ? { family } : {}), ...matchOption(options) });
  if (json) {
    writeJson(output, {
      mechanisms: found.map(({ id, name, family, year, paper, arxiv }) => ({
        id,
        name,
        family,
        year,
        paper,
        arxiv,
      })),
    });
    return;
  }
  if (found.length > 0) {
    output.result(
      table(
        ["id", "family", { header: "year", align: "left" }, "name"],
        found.map(({ id, family, year, name }) => [id, family, year, name]),
      ),
    );
  }
  output.log(found.length === 1 ? "1 mechanism" : `${found.length} mechanisms`);
}

function listModels({ options, json, output }: CommandCall): void {
  if (options.family !== undefined) throw new UsageError("--family is for mechanisms; networks have none");
  const found = models.list(matchOption(options)).map(networkFacts);
  if (json) {
    writeJson(output, { models: found });
    return;
  }
  if (found.length > 0) output.result(networkTable(found));
  output.log(found.length === 1 ? "1 network" : `${found.length} networks`);
}

function matchOption(options: GivenOptions): { match?: string } {
  const match = textOption(options, "match");
  return match === undefined ? {} : { match };
}

function familyOption(options: GivenOptions): Family | undefined {
  const given = textOption(options, "family");
  const family = families.find((known) => known === given);
  if (given !== undefined && family === undefined) {
    throw new UsageError(`no family "${given}"; ${didYouMean(given, families)}`);
  }
  return family;
}
