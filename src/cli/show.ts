import { mechanismClass } from "../attention/catalogue.js";
import { type AnyAbout, callsOf, parseOptions } from "../attention/mechanism.js";
import { describeOptions, formatType, type OptionDescription } from "../attention/option-description.js";
import type { Sizes } from "../attention/sizes.js";
import { table } from "../report/table.js";
import { formatCount, formatInteger } from "../report/units.js";
import { asUsage, type Command, type GivenOptions, textOption, UsageError, writeJson } from "./command.js";

/** `fovea show`: all that is known about a mechanism. */
export const show: Command = {
  usage: "show <id>",
  summary: "Show a mechanism: formula, options, shapes, maps, parameters and multiply-accumulates",
  options: [
    [
      "--channels <count>",
      "Channels for parameters and multiply-accumulates, other options at their defaults",
    ],
    ["--size <pixels>", "Height and width for multiply-accumulates: 56 or 56x40"],
  ],
  examples: ["fovea show cbam", "fovea show se --channels 256 --size 56", "fovea show ccnet --json"],
  async run({ args, options, json, output }) {
    const { about } = asUsage(() => mechanismClass(args[0]!));
    const instance = chosenInstance(about, options);
    const parsed = asUsage(() => parseOptions(about, instance.options)) as never;
    const described = describeOptions(about.options);
    const facts = {
      id: about.id,
      name: about.name,
      family: about.family,
      year: about.year,
      paper: about.paper,
      arxiv: about.arxiv,
      formula: about.formula,
      options: described.map((option) => ({ ...option, type: formatType(option.type) })),
      calls: callsOf(about, parsed),
      maps: about.maps(parsed),
      example: {
        ...instance,
        parameters: about.parameters(parsed),
        macs: about.macs(parsed, instance.sizes),
      },
      checkpoints: about.checkpoints,
    };
    if (json) writeJson(output, facts);
    else output.result(page(facts, described));
    return 0;
  },
};

interface Instance {
  readonly options: Readonly<Record<string, unknown>>;
  readonly sizes: Sizes;
}

/** The first example, or the defaults with the channels and the size that were asked for. */
function chosenInstance(about: AnyAbout, given: GivenOptions): Instance {
  const [example] = about.examples;
  const channels = textOption(given, "channels");
  const size = textOption(given, "size");
  const described = describeOptions(about.options);
  if (channels !== undefined && !described.some(({ name }) => name === "channels")) {
    const names = described.map(({ name }) => name).join(", ");
    throw new UsageError(`${about.id} has no option channels; its options are ${names}`);
  }
  return {
    options:
      channels === undefined ? example.options : withChannels(described, example.options, Number(channels)),
    sizes: size === undefined ? example.sizes : { ...example.sizes, batch: 1, ...imageSize(about, size) },
  };
}

/** What must be given besides the channels is as in the example. */
function withChannels(
  described: readonly OptionDescription[],
  example: Readonly<Record<string, unknown>>,
  channels: number,
): Readonly<Record<string, unknown>> {
  const required = described.filter((option) => option.required).map(({ name }) => [name, example[name]]);
  return { ...Object.fromEntries(required), channels };
}

function imageSize(about: AnyAbout, text: string): Sizes {
  const found = /^(\d{1,6})(?:x(\d{1,6}))?$/.exec(text);
  const [height, width] = [Number(found?.[1]), Number(found?.[2] ?? found?.[1])];
  if (!(height >= 1 && width >= 1))
    throw new UsageError(`--size is ${text}; it must be pixels such as 56 or 56x40`);
  const names = Object.keys(about.examples[0].sizes);
  if (!names.includes("height") || !names.includes("width")) {
    throw new UsageError(`${about.id} has no height and width; its sizes are ${names.join(", ")}`);
  }
  return { height, width };
}

interface Facts extends Pick<AnyAbout, "id" | "name" | "family" | "year" | "paper" | "formula"> {
  readonly arxiv: string | undefined;
  readonly checkpoints: AnyAbout["checkpoints"] | undefined;
  readonly calls: ReturnType<typeof callsOf>;
  readonly maps: ReturnType<AnyAbout["maps"]>;
  readonly example: Instance & { readonly parameters: number; readonly macs: number };
}

function page(facts: Facts, described: readonly OptionDescription[]): string {
  const { options, sizes, parameters, macs } = facts.example;
  const sections = [
    `${facts.name} (${facts.id})\n${facts.family} attention, ${facts.year}\n${facts.paper}${
      facts.arxiv ? `\nhttps://arxiv.org/abs/${facts.arxiv}` : ""
    }`,
    `Formula (TeX)\n  ${facts.formula}`,
    `Options\n${table(
      ["name", "type", { header: "default", align: "left" }],
      described.map((option) => [option.name, formatType(option.type), defaultOf(option)]),
      { indent: 2 },
    )}`,
    `Calls\n${Object.entries(facts.calls)
      .map(([call, { inputs, outputs }]) => {
        const given = Object.entries(inputs).map(
          ([name, { shape, dtype, optional }]) =>
            `${name}${optional ? "?" : ""}${dtype ? ` ${dtype}` : ""} [${shape.join(", ")}]`,
        );
        const made = Object.entries(outputs).map(([name, shape]) => `${name} [${shape.join(", ")}]`);
        return `  ${call}: ${given.join(", ")} -> ${made.join(", ")}`;
      })
      .join("\n")}`,
    mapSection(facts.maps),
    `With ${JSON.stringify(options)} at ${Object.entries(sizes)
      .map(([name, size]) => `${name} ${size}`)
      .join(", ")}\n${table(
      ["", { header: "count", align: "right" }, { header: "about", align: "right" }],
      [
        ["parameters", formatInteger(parameters), formatCount(parameters)],
        ["multiply-accumulates", formatInteger(macs), formatCount(macs)],
      ],
      { indent: 2 },
    )}`,
    ...(facts.checkpoints ? [`Reference checkpoints\n  ${Object.keys(facts.checkpoints).join("\n  ")}`] : []),
  ];
  return sections.join("\n\n");
}

function defaultOf(option: OptionDescription): string {
  if (option.required) return "(required)";
  return "default" in option ? JSON.stringify(option.default) : "none";
}

function mapSection(maps: Facts["maps"]): string {
  const entries = Object.entries(maps);
  if (entries.length === 0) return "Attention maps\n  none";
  const rows = entries.map(([name, { kind, shape, range, sumsToOne }]) => [
    name,
    kind,
    `[${shape.join(", ")}]`,
    range ? `[${range.join(", ")}]` : "any",
    sumsToOne ? `over axes ${sumsToOne.join(", ")}` : "",
  ]);
  const columns = [
    "name",
    "kind",
    { header: "shape", align: "left" },
    { header: "range", align: "left" },
    "sums to one",
  ] as const;
  return `Attention maps\n${table(columns, rows, { indent: 2 })}`;
}
