import * as z from "zod/mini";
import { DataError, FormatError } from "../../base/errors.js";
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
  if (options.numClasses !== undefined && options.numClasses !== classes.length) {
    throw new DataError(
      `${where}: the network has ${options.numClasses} classes, but ${classes.length} are named`,
    );
  }
  // The registry checks the options when it builds the network.
  return {
    name,
    options: options as ModelOptions,
    classes,
    preprocessing: readPreprocessing(preprocessing, where),
  };
}

/** The metadata under which a description is kept beside weights and in exported models. */
export function descriptionMetadata(description: NetworkDescription): Record<string, string> {
  const { name, options, classes, preprocessing } = description;
  return {
    model: name,
    options: JSON.stringify(options),
    classes: JSON.stringify(classes),
    preprocessing: JSON.stringify(preprocessing),
  };
}

/** The description that metadata hold; undefined where they hold none. @throws FormatError, DataError where it is malformed */
export function describedBy(
  values: ReadonlyMap<string, unknown>,
  where: string,
): NetworkDescription | undefined {
  if (!values.has("preprocessing")) return undefined;
  const parsed = (key: string): unknown => {
    try {
      return JSON.parse(String(values.get(key)));
    } catch (cause) {
      throw new FormatError(`${where}: its metadata ${key} is no JSON`, { cause });
    }
  };
  const [options, classes, preprocessing] = [parsed("options"), parsed("classes"), parsed("preprocessing")];
  return readDescription({ name: values.get("model"), options, classes, preprocessing }, where);
}
