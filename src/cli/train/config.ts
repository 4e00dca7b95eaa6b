import * as z from "zod/mini";
import { DataError, OptionError } from "../../base/errors.js";
import type { ModelOptions } from "../../models/registry.js";

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

/** Everything that a run's result depends on; written to its config.json. */
const settingsSchema = z.strictObject({
  model: z.string("must be a name"),
  attention: z.nullable(z.string()),
  data: z.strictObject({
    name: z.literal("mnist"),
    folder: z.nullable(z.string()),
    /** First so many images; all where null. */
    trainImages: z.nullable(count),
    testImages: z.nullable(count),
  }),
  epochs: count,
  batchSize: count,
  optimizer: z.enum(["sgd", "adamw"], "must be sgd or adamw"),
  learningRate: positive,
  warmUp: whole,
  weightDecay: notNegative,
  labelSmoothing: share,
  augment: z.boolean(),
  /** Decay of the moving average of the weights; 0 for none. */
  average: share,
  /** Largest norm of the gradient; null for no clipping. */
  clipNorm: z.nullable(positive),
  checkpointEvery: count,
  seed: whole,
});

/** Settings of a training run. */
export type TrainSettings = z.output<typeof settingsSchema>;

/** What `fovea train` does by default: an SE-ResNet that learns MNIST. */
export const defaultSettings: TrainSettings = {
  model: "seresnet8",
  attention: null,
  data: { name: "mnist", folder: null, trainImages: null, testImages: null },
  epochs: 2,
  batchSize: 128,
  optimizer: "sgd",
  learningRate: 0.2,
  warmUp: 60,
  weightDecay: 5e-4,
  labelSmoothing: 0.05,
  augment: true,
  average: 0,
  clipNorm: null,
  checkpointEvery: 100,
  seed: 0,
};

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

/** The mechanism that settings name, for `createModel`, which checks it. */
export function attentionOption(settings: TrainSettings): Pick<ModelOptions, "attention"> {
  return settings.attention === null
    ? {}
    : { attention: settings.attention as ModelOptions["attention"] & string };
}
