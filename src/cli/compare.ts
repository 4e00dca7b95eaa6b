import { writeFile } from "node:fs/promises";
import { interleaved } from "../report/timing.js";
import { formatDuration, formatPercent } from "../report/units.js";
import type { SessionOptions } from "../runtime/types.js";
import {
  asUsage,
  type Command,
  countOption,
  type GivenOptions,
  type Output,
  pixelsOf,
  refuseOptions,
  sessionFlags,
  sessionOptions,
  textOption,
  UsageError,
  writeJson,
} from "./command.js";
import { type Accuracy, checkNetwork, trainedAccuracy, trainingRuns } from "./compare/accuracy.js";
import { type Contestant, createContestant, type ImageSizes } from "./compare/contestant.js";
import { type Passes, tracePasses } from "./compare/passes.js";
import { type Finding, findingsChart, findingsTable } from "./compare/report.js";
import { timedSession } from "./compare/timed-session.js";
import { checkSettings, dataSettings, namedData, type TrainSettings } from "./train/config.js";

const warmUps = 3;

/** `fovea compare`: what mechanisms cost and, on request, what a network reaches with each. */
export const compare: Command = {
  usage: "compare <...ids>",
  summary: "Compare mechanisms: parameters, multiply-accumulates, memory, time, and accuracy on request",
  options: [
    ["--channels <count>", "Channels of the image (default 64)"],
    ["--size <pixels>", "Height and width of the image: 56 or 56x40 (default 28)"],
    ["--batch <n>", "Images of a run (default 8)"],
    ["--rounds <n>", "Interleaved measurements of each (default 20)"],
    ["--chart <file>", "Write the comparison as an SVG chart"],
    [
      "--data <name>",
      `Train a network with each on this data: ${namedData.join(", ")}, or a folder of images`,
    ],
    ["--data-folder <folder>", "Where the files of the data are"],
    ["--epochs <n>", "Epochs of each training (default 1)"],
    ["--seeds <n>", "Trainings of each, with other initial weights and order (default 1)"],
    ["--train-images <n>", "Only the first n training images"],
    ["--test-images <n>", "Only the first n test images"],
    ...sessionFlags,
  ],
  examples: [
    "fovea compare se cbam eca --channels 64 --size 56",
    "fovea compare none se:reduction=4 se:reduction=16 --chart se.svg",
    "fovea compare none se cbam --data mnist --epochs 1 --seeds 3",
  ],
  async run({ args, options, json, output }) {
    const image = imageOf(options);
    const rounds = countOption(options, "rounds", 20);
    const training = trainingOf(options);
    const session = sessionOptions(options);
    const contestants = asUsage(() => contestantsOf(args, image));
    const traced = contestants.map((contestant) => ({ contestant, passes: tracePasses(contestant) }));
    if (training) {
      for (const name of args) await checkNetwork({ ...training.settings, attention: name });
    }
    output.log(
      `measuring ${contestants.length} mechanisms, ${rounds} interleaved rounds; memory and time are of ${image.batch} images`,
    );
    const costs = await measure(traced, { rounds, session });
    const accuracies = training && (await trainEach(args, training, session, output));
    const findings = costs.map((finding): Finding => {
      const accuracy = accuracies?.get(finding.name);
      return accuracy ? { ...finding, accuracy } : finding;
    });

    const file = textOption(options, "chart");
    if (file !== undefined) {
      const { batch, channels, height, width } = image;
      await writeFile(
        file,
        findingsChart(findings, `batch ${batch}, ${channels} channels, ${height} x ${width} pixels`),
      );
      output.log(`chart written to ${file}`);
    }
    if (json) writeJson(output, { ...image, rounds, training, mechanisms: findings });
    else output.result(findingsTable(findings));
    return 0;
  },
};

function imageOf(options: GivenOptions): ImageSizes {
  return {
    batch: countOption(options, "batch", 8),
    channels: countOption(options, "channels", 64),
    ...pixelsOf(textOption(options, "size") ?? "28"),
  };
}

/** How the network is trained; undefined where it is not. */
function trainingOf(options: GivenOptions): { settings: TrainSettings; seeds: number } | undefined {
  const data = textOption(options, "data");
  if (data === undefined) {
    refuseOptions(
      options,
      ["epochs", "seeds", "trainImages", "testImages", "dataFolder"],
      "goes with --data",
    );
    return undefined;
  }
  const defaults = dataSettings(data, textOption(options, "dataFolder") ?? null);
  const images = (name: string) => (options[name] === undefined ? null : countOption(options, name, 1));
  const settings = checkSettings({
    ...defaults,
    data: { ...defaults.data, trainImages: images("trainImages"), testImages: images("testImages") },
    epochs: countOption(options, "epochs", 1),
  });
  return { settings, seeds: countOption(options, "seeds", 1) };
}

function contestantsOf(names: readonly string[], image: ImageSizes): Contestant[] {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError(`${twice} is named twice`);
  return names.map((name) => createContestant(name, image));
}

/** Times every contestant's passes, all interleaved. */
async function measure(
  traced: readonly { readonly contestant: Contestant; readonly passes: Passes }[],
  { rounds, session }: { rounds: number; session: SessionOptions },
): Promise<Finding[]> {
  const opened: { name: string; run(): Promise<void>; close(): Promise<void> }[] = [];
  try {
    for (const { contestant, passes } of traced) {
      const forward = await timedSession(passes.forward, { weights: "constant", session });
      opened.push({ name: `${contestant.name} forward`, ...forward });
      const training = await timedSession(passes.training, { weights: "state", session });
      opened.push({ name: `${contestant.name} training`, ...training });
    }
    const times = await interleaved(opened, { rounds, warmUps });
    return traced.map(({ contestant: { name, options }, passes: { cost } }) => ({
      name,
      options,
      cost,
      forward: times.get(`${name} forward`)!,
      training: times.get(`${name} training`)!,
    }));
  } finally {
    await Promise.all(opened.map((timed) => timed.close()));
  }
}

async function trainEach(
  names: readonly string[],
  { settings, seeds }: { settings: TrainSettings; seeds: number },
  session: SessionOptions,
  output: Output,
): Promise<ReadonlyMap<string, Accuracy>> {
  const found = new Map<string, Accuracy>();
  for (const name of names) {
    const accuracy = await trainedAccuracy(trainingRuns(settings, name, seeds), session, (run, value, ms) =>
      output.log(
        `${name}, seed ${run.seed}: accuracy ${formatPercent(value)} after ${formatDuration(ms / 1000)}`,
      ),
    );
    found.set(name, accuracy);
  }
  return found;
}
