import { existsSync } from "node:fs";
import * as z from "zod/mini";
import { DataError, OptionError } from "../../base/errors.js";
import type { ModelOptions } from "../../models/network.js";
import { UsageError } from "../command.js";

const rules = {
  count: "must be an integer of at least 1",
  whole: "must be an integer of at least 0",
  positive: "must be a number above 0",
  notNegative: "must be a number of at least 0",
  share: "must be a number from 0 to below 1",
} as const;
const count = z.int(rules.count).check(z.gte(1, rules.count));
const whole = z.int(rules.whole).check(z.gte(0, rules.whole));
const positive = z.number(rules.positive).check(z.gt(0, rules.positive));
const notNegative = z.number(rules.notNegative).check(z.gte(0, rules.notNegative));
const share = z.number(rules.share).check(z.gte(0, rules.share), z.lt(1, rules.share));

/** Data that can be trained on: by name, or a folder of images. */
export const dataNames = ["mnist", "cifar10", "cifar100", "folder"] as const;

export type DataName = (typeof dataNames)[number];

/** Everything that a run's result depends on; written to its config.json. */
const settingsSchema = z.strictObject({
  model: z.string("must be a name"),
  attention: z.nullable(z.string()),
  data: z.strictObject({
    name: z.enum(dataNames, `must be one of ${dataNames.join(", ")}`),
    folder: z.nullable(z.string()),
    /** First so many images; all where null. */
    trainImages: z.nullable(count),
    testImages: z.nullable(count),
    /** Side of the images that a folder's are brought to. */
    size: count,
    /** Share of the training images that are held back to test on, where a folder has no test images. */
    validation: share,
    /** Leaves out images that cannot be read, in place of ending the run. */
    skipBroken: z.boolean(),
  }),
  epochs: count,
  batchSize: count,
  optimizer: z.enum(["sgd", "adamw"], "must be sgd or adamw"),
  learningRate: positive,
  warmUp: whole,
  weightDecay: notNegative,
  labelSmoothing: share,
  augment: z.boolean(),
  /** Strength of mixup and of cutmix (alpha); 0 for none. */
  mixup: notNegative,
  cutmix: notNegative,
  /** Probability with which a rectangle of a training image is erased. */
  erase: share,
  /** File of weights to begin with; null for random ones. */
  init: z.nullable(z.string()),
  /** Patterns of parameters that keep their values. */
  freeze: z.array(z.string()),
  /** Trains on so many images, as they are, and tests on the same; null for a real run. */
  overfit: z.nullable(count),
  /** Decay of the moving average of the weights; 0 for none. */
  average: share,
  /** Largest norm of the gradient; null for no clipping. */
  clipNorm: z.nullable(positive),
  checkpointEvery: count,
  seed: whole,
});

/** Settings of a training run. */
export type TrainSettings = z.output<typeof settingsSchema>;

/** What `fovea train` does where nothing else is said: an SE-ResNet learns MNIST. */
const mnistSettings: TrainSettings = {
  model: "seresnet8",
  attention: null,
  data: {
    name: "mnist",
    folder: null,
    trainImages: null,
    testImages: null,
    size: 128,
    validation: 0.2,
    skipBroken: false,
  },
  epochs: 2,
  batchSize: 128,
  optimizer: "sgd",
  learningRate: 0.2,
  warmUp: 60,
  weightDecay: 5e-4,
  labelSmoothing: 0.05,
  augment: true,
  mixup: 0,
  cutmix: 0,
  erase: 0,
  init: null,
  freeze: [],
  overfit: null,
  average: 0,
  clipNorm: null,
  checkpointEvery: 100,
  seed: 0,
};

/** What differs for other data. */
const otherSettings: Readonly<Record<DataName, Partial<TrainSettings>>> = {
  mnist: {},
  cifar10: { model: "seresnet20", epochs: 30, warmUp: 400 },
  cifar100: { model: "seresnet20", epochs: 30, warmUp: 400 },
  folder: { model: "seresnet18", epochs: 20, batchSize: 32, learningRate: 0.05, warmUp: 50 },
};

/** The settings of a run on some data where nothing else is said. */
export function defaultSettings(data: DataName): TrainSettings {
  return { ...mnistSettings, ...otherSettings[data], data: { ...mnistSettings.data, name: data } };
}

/** What differs for a trial whether a network learns a few images by heart. */
export function overfitSettings(count: number): Partial<TrainSettings> {
  const batchSize = Math.min(count, 32);
  return { batchSize, epochs: 60, learningRate: 0.05, warmUp: 10, labelSmoothing: 0, weightDecay: 0 };
}

/** Names of data; anything else is a folder of images. */
export const namedData = dataNames.filter((name) => name !== "folder");

/** The default settings of a run on what `--data` names: a known name, or a folder of images. @throws UsageError for neither */
export function dataSettings(data: string, folder: string | null): TrainSettings {
  const name = namedData.find((known) => known === data) ?? "folder";
  if (name === "folder" && !existsSync(data)) {
    throw new UsageError(`--data is ${data}; it must be ${namedData.join(", ")} or a folder of images`);
  }
  const settings = defaultSettings(name);
  return { ...settings, data: { ...settings.data, folder: name === "folder" ? data : folder } };
}

/** Checks settings. @throws OptionError that names each setting, its value and the rule */
export function checkSettings(settings: unknown): TrainSettings {
  const parsed = z.safeParse(settingsSchema, settings);
  if (parsed.success) return parsed.data;
  throw new OptionError(`training settings: ${problemsOf(parsed.error, settings)}`);
}

const configSchema = z.looseObject({ settings: settingsSchema });

/** The settings of a run's config.json. @throws DataError where the file is malformed */
export function settingsOfConfig(config: unknown, where: string): TrainSettings {
  const parsed = z.safeParse(configSchema, config);
  if (parsed.success) return parsed.data.settings;
  throw new DataError(`${where}: malformed run configuration; ${problemsOf(parsed.error, config)}`);
}

function problemsOf(error: z.core.$ZodError, input: unknown): string {
  const problems = error.issues.map(({ path, message }) => {
    const value = path.reduce<unknown>(
      (part, key) => (part as Record<PropertyKey, unknown> | undefined)?.[key],
      input,
    );
    return `${path.join(".") || "configuration"} is ${typeof value === "object" ? JSON.stringify(value) : String(value)}; it ${message}`;
  });
  return problems.join("; ");
}

/** The mechanism that settings name, for `models.create`, which checks it. */
export function attentionOption(settings: TrainSettings): Pick<ModelOptions, "attention"> {
  return settings.attention === null
    ? {}
    : { attention: settings.attention as ModelOptions["attention"] & string };
}
