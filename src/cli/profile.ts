import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostTensor } from "../base/dtype.js";
import { FoveaError } from "../base/errors.js";
import { fillNormal } from "../base/random.js";
import { initialize, trace } from "../graph/model.js";
import { createModel, type ModelOptions, modelInfo } from "../models/registry.js";
import { flameChart } from "../report/flame-chart.js";
import { table } from "../report/table.js";
import { formatDuration, formatPercent } from "../report/units.js";
import { compile } from "../runtime/executable.js";
import { type NodeTime, nodeTimes } from "../runtime/profile-times.js";
import type { SessionOptions } from "../runtime/types.js";
import { crossEntropy } from "../train/losses.js";
import { supervised } from "../train/objective.js";
import { sgd } from "../train/optimizers.js";
import { Trainer } from "../train/trainer.js";
import {
  asUsage,
  type Command,
  countOption,
  type GivenOptions,
  pixelsOf,
  sessionFlags,
  sessionOptions,
  textOption,
  writeJson,
} from "./command.js";
import { enclosingModules, flameOf, kindNames, type Share, sharesOf, total } from "./profile/summary.js";

/** Runs before those that count: the first ones allocate. */
const warmUps = 2;

/** What is profiled. */
interface Subject {
  readonly name: string;
  readonly attention: string | undefined;
  readonly training: boolean;
  /** [N, C, H, W] */
  readonly shape: readonly [number, number, number, number];
  readonly runs: number;
  readonly session: SessionOptions;
}

/** A session of which a profile is being written. */
interface ProfiledSession {
  run(): Promise<unknown>;
  endProfiling(): Promise<string>;
  close(): Promise<void>;
}

/** `fovea profile`: where the time of a network goes. */
export const profile: Command = {
  usage: "profile <model>",
  summary: "Show the time of a network by operator and by module, with the rates that are achieved",
  options: [
    ["--training", "A training step (SGD with momentum) in place of a forward pass"],
    ["--batch <n>", "Images at once (default 8)"],
    ["--size <pixels>", "Height and width of an image: 56 or 56x40 (default the network's own)"],
    ["--channels <n>", "Channels of an image (default 3)"],
    ["--attention <id>", "Mechanism in its blocks, or none; the network's own by default"],
    ["--runs <n>", "Runs, of which the median counts (default 10)"],
    ["--depth <n>", "Levels of modules in the table (default 2)"],
    ["--svg <file>", "Draws time by module and operator as a flame chart"],
    ...sessionFlags,
  ],
  examples: [
    "fovea profile seresnet20 --training --batch 64",
    "fovea profile seresnet50 --batch 1 --svg seresnet50.svg",
  ],
  async run({ args, options, json, output }) {
    const subject = asUsage(() => subjectOf(args[0]!, options));
    const depth = countOption(options, "depth", 2);
    const svg = textOption(options, "svg");
    output.log(`profiling ${titleOf(subject)}, ${subject.runs} runs ...`);
    const nodes = await measure(subject);
    const operators = sharesOf(nodes, ({ operator }) => [operator]);
    if (svg !== undefined) await writeFile(svg, chart(subject, nodes));
    if (json) {
      const { name, attention = null, training, runs } = subject;
      const [batch, channels, height, width] = subject.shape;
      const modules = sharesOf(nodes, ({ module }) => enclosingModules(module));
      writeJson(output, {
        ...{ model: name, attention, training, batch, channels, height, width, runs },
        nodes: nodes.length,
        milliseconds: total(nodes, "milliseconds"),
        ...{ operators, modules },
      });
    } else {
      const modules = sharesOf(nodes, ({ module }) => [
        ...enclosingModules(module, depth),
        ...outside(module),
      ]);
      output.result(
        [
          `${titleOf(subject)}: ${formatDuration(total(nodes, "milliseconds") / 1000)} in ${nodes.length} nodes`,
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

function subjectOf(name: string, options: GivenOptions): Subject {
  const size = textOption(options, "size");
  const { imageSize } = modelInfo(name);
  const { height, width } = size === undefined ? { height: imageSize, width: imageSize } : pixelsOf(size);
  return {
    name,
    attention: textOption(options, "attention"),
    training: options.training === true,
    shape: [countOption(options, "batch", 8), countOption(options, "channels", 3), height, width],
    runs: countOption(options, "runs", 10),
    session: sessionOptions(options),
  };
}

function titleOf({ name, attention, training, shape }: Subject): string {
  const network = attention === undefined ? name : `${name} with ${attention}`;
  return `${network}, ${training ? "training step" : "forward pass"} of [${shape.join(", ")}]`;
}

/** Runs it and reads the profile. */
async function measure(subject: Subject): Promise<NodeTime[]> {
  const folder = await mkdtemp(join(tmpdir(), "fovea-profile-"));
  try {
    const session = { ...subject.session, profile: join(folder, "profile") };
    const profiled = await (subject.training ? trainingSession : forwardSession)(subject, session);
    try {
      for (let run = 0; run < warmUps + subject.runs; run++) await profiled.run();
      const nodes = nodeTimes(await readFile(await profiled.endProfiling(), "utf8"), { warmUps });
      if (nodes.length === 0) throw new FoveaError("the profile of ONNX Runtime lists no nodes");
      return nodes;
    } finally {
      await profiled.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function networkOf({ name, attention, shape }: Subject) {
  const options = { inChannels: shape[1], ...(attention === undefined ? {} : { attention }) };
  const model = asUsage(() => createModel(name, options as ModelOptions));
  initialize(model);
  return model;
}

function randomImages(shape: readonly number[]): HostTensor {
  const data = new Float32Array(shape.reduce((product, size) => product * size));
  fillNormal(data, { seed: 0, stream: "profile", step: 0 });
  return { dtype: "float32", shape, data };
}

async function forwardSession(subject: Subject, session: SessionOptions): Promise<ProfiledSession> {
  const executable = await compile(trace(networkOf(subject), { shape: subject.shape }), session);
  const x = randomImages(subject.shape);
  return {
    run: () => executable.run({ x }),
    endProfiling: () => executable.endProfiling(),
    close: () => executable.close(),
  };
}

async function trainingSession(subject: Subject, session: SessionOptions): Promise<ProfiledSession> {
  const model = networkOf(subject);
  const [count] = subject.shape;
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: { x: { shape: subject.shape }, y: { shape: [count], dtype: "int64" } },
    optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
    // Small steps, so that weights stay finite however many runs there are.
    schedule: 1e-4,
    session,
  });
  const x = randomImages(subject.shape);
  const y: HostTensor = { dtype: "int64", shape: [count], data: new BigInt64Array(count) };
  return {
    run: () => trainer.step({ x, y }),
    endProfiling: () => trainer.endProfiling(),
    close: () => trainer.close(),
  };
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

function chart(subject: Subject, nodes: readonly NodeTime[]): string {
  return flameChart({
    title: titleOf(subject),
    subtitle: `median of ${subject.runs} runs, from ONNX Runtime's profile`,
    root: flameOf(subject.name, nodes),
    format: (milliseconds) => formatDuration(milliseconds / 1000),
    legend: kindNames,
  });
}
