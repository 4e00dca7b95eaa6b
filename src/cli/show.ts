import { mechanismClass } from "../attention/catalogue.js";
import { channelOptions, exampleRequirements } from "../attention/channel-options.js";
import {
  callText,
  defaultText,
  type Facts,
  type Instance,
  mapHeaders,
  mapRows,
  mechanismFacts,
} from "../attention/facts.js";
import type { AnyAbout } from "../attention/mechanism.js";
import { describeOptions } from "../attention/option-description.js";
import type { Sizes } from "../attention/sizes.js";
import { table } from "../report/table.js";
import { formatCount, formatInteger } from "../report/units.js";
import {
  asUsage,
  type Command,
  type GivenOptions,
  pixelsOf,
  textOption,
  UsageError,
  writeJson,
} from "./command.js";

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
    const facts = asUsage(() => mechanismFacts(about, instance));
    if (json) writeJson(output, facts);
    else output.result(page(facts));
    return 0;
  },
};

/** The first example, or the defaults with the channels and the size that were asked for. */
function chosenInstance(about: AnyAbout, given: GivenOptions): Instance {
  const [example] = about.examples;
  const channels = textOption(given, "channels");
  const size = textOption(given, "size");
  const sized = channelOptions(about, Number(channels));
  if (channels !== undefined && Object.keys(sized).length === 0) {
    const names = describeOptions(about.options).map(({ name }) => name);
    throw new UsageError(`${about.id} has no option channels; its options are ${names.join(", ")}`);
  }
  return {
    options: channels === undefined ? example.options : { ...exampleRequirements(about), ...sized },
    sizes: size === undefined ? example.sizes : { ...example.sizes, batch: 1, ...imageSize(about, size) },
  };
}

function imageSize(about: AnyAbout, text: string): Sizes {
  const { height, width } = pixelsOf(text);
  const names = Object.keys(about.examples[0].sizes);
  if (!names.includes("height") || !names.includes("width")) {
    throw new UsageError(`${about.id} has no height and width; its sizes are ${names.join(", ")}`);
  }
  return { height, width };
}

function page(facts: Facts): string {
  const { options, sizes, parameters, macs } = facts.example;
  const sections = [
    `${facts.name} (${facts.id})\n${facts.family} attention, ${facts.year}\n${facts.paper}${
      facts.arxiv ? `\nhttps://arxiv.org/abs/${facts.arxiv}` : ""
    }`,
    `Formula (TeX)\n  ${facts.formula}`,
    `Options\n${table(
      ["name", "type", { header: "default", align: "left" }],
      facts.options.map((option) => [option.name, option.type, defaultText(option)]),
      { indent: 2 },
    )}`,
    ...(facts.rules.length > 0 ? [`Rules between options\n${facts.rules.map(ruleLine).join("\n")}`] : []),
    `Calls\n${Object.entries(facts.calls)
      .map(([name, call]) => `  ${name}: ${callText(call)}`)
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

function ruleLine({ option, rule }: Facts["rules"][number]): string {
  return option === undefined ? `  ${rule}` : `  ${option}: ${rule}`;
}

function mapSection(maps: Facts["maps"]): string {
  const rows = mapRows(maps);
  if (rows.length === 0) return "Attention maps\n  none";
  const columns = mapHeaders.map((header) => ({ header, align: "left" as const }));
  return `Attention maps\n${table(columns, rows, { indent: 2 })}`;
}
