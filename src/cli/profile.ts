import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FoveaError } from "../base/errors.js";
import { flameChart } from "../report/flame-chart.js";
import { table } from "../report/table.js";
import { formatDuration, formatPercent } from "../report/units.js";
import { type NodeTime, nodeTimes } from "../runtime/profile-times.js";
import { inference, trainingStep } from "./bench/contestants.js";
import {
  type Command,
  countOption,
  type GivenOptions,
  sessionFlags,
  sessionOptions,
  textOption,
  writeJson,
} from "./command.js";
import { networkFlags, type OpenedNetwork, openNetwork } from "./network/open.js";
import { enclosingModules, flameOf, kindNames, type Share, sharesOf, total } from "./profile/summary.js";

/** Runs before those that count: the first ones allocate. */
const warmUps = 2;

/** How a network is profiled. */
interface Plan {
  readonly training: boolean;
  readonly batch: number;
  readonly runs: number;
}

/** `fovea profile`: where the time of a network goes. */
export const profile: Command = {
  usage: "profile <run-or-model>",
  summary: "Show the time of a network by operator and by module, with the rates that are achieved",
  options: [
    ["--training", "A training step (SGD with momentum) in place of a forward pass"],
    ["--batch <n>", "Images at once (default 8)"],
    ["--runs <n>", "Runs, of which the median counts (default 10)"],
    ["--depth <n>", "Levels of modules in the table (default 2)"],
    ["--svg <file>", "Draws time by module and operator as a flame chart"],
    ...networkFlags,
    ...sessionFlags,
  ],
  examples: [
    "fovea profile seresnet20 --training --batch 64",
    "fovea profile seresnet50 --batch 1 --svg seresnet50.svg",
  ],
  async run({ args, options, json, output }) {
    const plan: Plan = {
      training: options.training === true,
      batch: countOption(options, "batch", 8),
      runs: countOption(options, "runs", 10),
    };
    const depth = countOption(options, "depth", 2);
    const svg = textOption(options, "svg");
    const network = await openNetwork(args[0]!, options);
    const title = titleOf(network, plan);
    output.log(`profiling ${title}, ${plan.runs} runs ...`);
    const nodes = await measure(network, plan, options);
    const milliseconds = total(nodes, "milliseconds");
    const operators = sharesOf(nodes, ({ operator }) => [operator]);
    if (svg !== undefined) await writeFile(svg, chart(title, plan.runs, nodes));
    if (json) {
      const { name, preprocessing } = network.description;
      const modules = sharesOf(nodes, ({ module }) => enclosingModules(module));
      const { imageShape } = preprocessing;
      writeJson(output, {
        model: name,
        imageShape,
        ...plan,
        nodes: nodes.length,
        milliseconds,
        operators,
        modules,
      });
    } else {
      const modules = sharesOf(nodes, ({ module }) => [
        ...enclosingModules(module, depth),
        ...outside(module),
      ]);
      output.result(
        [
          `${title}: ${formatDuration(milliseconds / 1000)} in ${nodes.length} nodes`,
          `By operator\n${sharesTable("operator", operators)}`,
          `By module, with what it holds\n${sharesTable("module", modules)}`,
        ].join("\n\n"),
      );
    }
    return 0;
  },
};

/** Where nodes are counted that no module has made: the loss, the optimizer, what ONNX Runtime adds. */
function outside(module: string): string[] {
  return module === "" ? ["(none)"] : [];
}

function titleOf({ title, description }: OpenedNetwork, { training, batch }: Plan): string {
  const shape = [batch, ...description.preprocessing.imageShape].join(", ");
  return `${title}, ${training ? "training step" : "forward pass"} of [${shape}]`;
}

/** Runs it and reads the profile. */
async function measure(
  network: OpenedNetwork,
  { training, batch, runs }: Plan,
  options: GivenOptions,
): Promise<NodeTime[]> {
  const folder = await mkdtemp(join(tmpdir(), "fovea-profile-"));
  try {
    const session = { ...sessionOptions(options), profile: join(folder, "profile") };
    const workload = await (training ? trainingStep : inference)(network, { batch, session });
    try {
      for (let run = 0; run < warmUps + runs; run++) await workload.run();
      const nodes = nodeTimes(await readFile(await workload.endProfiling(), "utf8"), { warmUps });
      if (nodes.length === 0) throw new FoveaError("the profile of ONNX Runtime lists no nodes");
      return nodes;
    } finally {
      await workload.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function sharesTable(what: string, shares: readonly Share[]): string {
  const rate = (value: number | null) => (value === null ? "" : value.toFixed(1));
  return table(
    [
      what,
      ...["nodes", "ms", "share", "GFLOP/s", "GB/s"].map((header) => ({ header, align: "right" as const })),
    ],
    shares.map(({ name, nodes, milliseconds, share, gigaflopsPerSecond, gigabytesPerSecond }) => [
      name,
      nodes,
      milliseconds.toFixed(3),
      formatPercent(share, 1),
      rate(gigaflopsPerSecond),
      rate(gigabytesPerSecond),
    ]),
    { indent: 2 },
  );
}

function chart(title: string, runs: number, nodes: readonly NodeTime[]): string {
  return flameChart({
    title,
    subtitle: `median of ${runs} runs, from ONNX Runtime's profile`,
    root: flameOf("all", nodes),
    format: (milliseconds) => formatDuration(milliseconds / 1000),
    legend: kindNames,
  });
}
