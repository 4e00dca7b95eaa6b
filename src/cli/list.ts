import { mechanisms } from "../attention/catalogue.js";
import { type Family, families } from "../attention/mechanism.js";
import { didYouMean } from "../base/suggestion.js";
import { table } from "../report/table.js";
import { type Command, type GivenOptions, textOption, UsageError, writeJson } from "./command.js";

/** `fovea list`: the catalogue. */
export const list: Command = {
  usage: "list",
  summary: "List the attention mechanisms",
  options: [
    ["--family <family>", `Only this family: ${families.join(", ")}`],
    ["--match <pattern>", "Only ids and names that fit, * for any characters"],
  ],
  examples: ["fovea list --family spatial", "fovea list --match '*non-local*'", "fovea list --json"],
  async run({ options, json, output }) {
    const family = familyOption(options);
    const match = textOption(options, "match");
    const found = mechanisms({ ...(family ? { family } : {}), ...(match !== undefined ? { match } : {}) });
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
      return 0;
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
    return 0;
  },
};

function familyOption(options: GivenOptions): Family | undefined {
  const given = textOption(options, "family");
  const family = families.find((known) => known === given);
  if (given !== undefined && family === undefined) {
    throw new UsageError(`no family "${given}"; ${didYouMean(given, families)}`);
  }
  return family;
}
