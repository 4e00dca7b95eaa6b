import * as z from "zod/mini";
import { DataError } from "../../base/errors.js";
import { type ImagePreprocessing, readPreprocessing } from "../../data/preprocessing.js";
import type { ModelOptions } from "../../models/network.js";

/**
 * A network, what it tells apart, and how images become its input: all that is needed to use it without the data that it was trained
 * on. Written into a run's config.json and into the metadata of exported models.
 */
export interface NetworkDescription {
  /** Name in the registry. */
  readonly name: string;
  /** With which it was created. */
  readonly options: ModelOptions;
  readonly classes: readonly string[];
  readonly preprocessing: ImagePreprocessing;
}

const text = z.string().check(z.maxLength(1000));
const maxClasses = 100_000;

const schema = z.object({
  name: text,
  options: z.record(text, z.unknown()),
  classes: z.array(text).check(z.minLength(1), z.maxLength(maxClasses)),
  preprocessing: z.unknown(),
});

/** Checks a description from a file. @throws DataError that names the place and the rule */
export function readDescription(value: unknown, where: string): NetworkDescription {
  const parsed = z.safeParse(schema, value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "it"}: ${message}`);
    throw new DataError(`${where}: malformed description of the network; ${problems.slice(0, 5).join("; ")}`);
  }
  const { name, options, classes, preprocessing } = parsed.data;
  // The registry checks the options when it builds the network.
  return {
    name,
    options: options as ModelOptions,
    classes,
    preprocessing: readPreprocessing(preprocessing, where),
  };
}
