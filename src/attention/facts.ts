import type { AttentionMap } from "./maps.js";
import { type AnyAbout, type CallSignature, callsOf, parseOptions } from "./mechanism.js";
import {
  describeOptions,
  describeRules,
  formatType,
  type OptionDescription,
  type OptionRule,
} from "./option-description.js";
import { dtypesOf } from "./signature.js";
import type { Sizes } from "./sizes.js";

/** Options and sizes for which a mechanism is described. */
export interface Instance {
  readonly options: Readonly<Record<string, unknown>>;
  readonly sizes: Sizes;
}

/** All that is known about a mechanism, in a form to write down. */
export interface Facts extends Pick<AnyAbout, "id" | "name" | "family" | "year" | "paper" | "formula"> {
  readonly arxiv: string | undefined;
  readonly options: readonly (Omit<OptionDescription, "type"> & { readonly type: string })[];
  readonly rules: readonly OptionRule[];
  readonly calls: Readonly<Record<string, CallSignature>>;
  readonly maps: Readonly<Record<string, AttentionMap>>;
  readonly example: Instance & { readonly parameters: number; readonly macs: number };
  readonly checkpoints: AnyAbout["checkpoints"] | undefined;
}

/** Describes a mechanism for the given options and sizes. @throws OptionError for options that it refuses */
export function mechanismFacts(about: AnyAbout, instance: Instance): Facts {
  const { id, name, family, year, paper, arxiv, formula, checkpoints } = about;
  const parsed = parseOptions(about, instance.options) as never;
  return {
    id,
    name,
    family,
    year,
    paper,
    arxiv,
    formula,
    options: describeOptions(about.options).map((option) => ({ ...option, type: formatType(option.type) })),
    rules: describeRules(about.options),
    calls: callsOf(about, parsed),
    maps: about.maps(parsed),
    example: {
      ...instance,
      parameters: about.parameters(parsed),
      macs: about.macs(parsed, instance.sizes),
    },
    checkpoints,
  };
}

/** Inputs and outputs of a call: `x [batch, 8, height, width] -> y [batch, 8]`; optional inputs have a question mark. */
export function callText({ inputs, outputs }: CallSignature): string {
  const given = Object.entries(inputs).map(([name, declared]) => {
    const dtypes = dtypesOf(declared).join(" or ");
    const dtype = dtypes === "float32" ? "" : ` ${dtypes}`;
    return `${name}${declared.optional ? "?" : ""}${dtype} [${declared.shape.join(", ")}]`;
  });
  const made = Object.entries(outputs).map(([name, shape]) => `${name} [${shape.join(", ")}]`);
  return `${given.join(", ")} -> ${made.join(", ")}`;
}

/** What an option is where it is left out. */
export function defaultText(option: Omit<OptionDescription, "type">): string {
  if (option.required) return "(required)";
  return "default" in option ? JSON.stringify(option.default) : "none";
}

/** Headers of the rows of `mapRows`. */
export const mapHeaders = ["name", "kind", "shape", "range", "sums to one"] as const;

/** A row per attention map. */
export function mapRows(maps: Facts["maps"]): string[][] {
  return Object.entries(maps).map(([name, { kind, shape, range, sumsToOne }]) => [
    name,
    kind,
    `[${shape.join(", ")}]`,
    range ? `[${range.map((bound) => Number(bound.toPrecision(4))).join(", ")}]` : "any",
    sumsToOne ? `over axes ${sumsToOne.join(", ")}` : "",
  ]);
}
