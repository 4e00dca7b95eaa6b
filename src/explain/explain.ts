import { checkInteger } from "../base/check.js";
import { elementCount, type HostTensor } from "../base/dtype.js";
import { OptionError, ShapeError } from "../base/errors.js";
import { quote } from "../base/quote.js";
import type { CompileOptions } from "../runtime/executable.js";
import { attention } from "./attention.js";
import { classActivationMethod } from "./class-activation-method.js";
import { integratedGradients } from "./integrated-gradients.js";
import type { ExplainMethod } from "./method.js";
import { occlusion } from "./occlusion.js";
import { probe } from "./probe.js";
import { rollout } from "./rollout.js";
import {
  type ExplainableModel,
  type Explainer,
  type ExplainOptions,
  type Explanation,
  explainMethods,
} from "./types.js";

const methods: readonly ExplainMethod[] = [
  attention,
  classActivationMethod("grad-cam"),
  classActivationMethod("grad-cam++"),
  rollout,
  occlusion,
  integratedGradients,
];

const methodOptions = new Set(methods.flatMap(({ reads }) => reads));

/**
 * Shows what a network attended to, or where a class comes from, as maps whose layout is known: gates of channels, weights of branches,
 * planes over the image, attention of tokens by head and query. For several images of one shape see `createExplainer`.
 * @param image [C, H, W] as the model takes it (normalized)
 * @throws OptionError for a method that does not fit the network (with those that do), an unknown tap, class or method, an option that the
 *   method does not read; ShapeError for an image that does not fit
 */
export async function explain(
  model: ExplainableModel,
  image: HostTensor,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const explainer = await createExplainer(model, image.shape, options);
  try {
    return await explainer.explain(image);
  } finally {
    await explainer.close();
  }
}

/**
 * Compiles what a method needs, for any number of images of one shape; the network's weights are those of now.
 * @param imageShape [C, H, W]
 * @throws OptionError for a method that does not fit the network, an unknown tap or method, an option that the method does not read;
 *   ShapeError for images that do not fit
 */
export async function createExplainer(
  model: ExplainableModel,
  imageShape: readonly number[],
  options: ExplainOptions = {},
): Promise<Explainer> {
  const { method: name = "attention", batchSize, classes, grid } = options;
  const method = methods.find((candidate) => candidate.name === name);
  if (!method) {
    throw new OptionError(`explain: no method ${quote(name)}; known are ${explainMethods.join(", ")}`);
  }
  checkOptions(method, options);
  if (batchSize !== undefined) checkInteger("explain", "batchSize", batchSize, { min: 1 });
  if (classes?.length === 0)
    throw new OptionError("explain: classes is empty; leave it out for the predicted one");
  if (imageShape.length !== 3) {
    throw new ShapeError(`explain: an image must be [C, H, W], found [${imageShape.join(", ")}]`);
  }
  const pass = probe(model, imageShape, options);
  const context = { model, imageShape, pass, options, session: sessionOptions(options) };
  const lacking = method.lacks(context);
  if (lacking !== undefined) {
    const fitting = methods.filter(
      (other) => other.lacks({ model, pass, options: grid ? { grid } : {} }) === undefined,
    );
    const names = fitting.map((other) => other.name).join(", ") || "none";
    throw new OptionError(`explain: ${name} needs ${lacking}; methods that fit this network: ${names}`);
  }
  const explainer = await method.create(context);
  return {
    async explain(image) {
      checkImage(image, imageShape);
      return explainer.explain(image);
    },
    close: () => explainer.close(),
  };
}

function checkImage({ dtype, shape, data }: HostTensor, expected: readonly number[]): void {
  if (dtype === "float32" && shape.join() === expected.join() && data.length === elementCount(expected))
    return;
  throw new ShapeError(
    `explain: image must be float32 [${expected.join(", ")}], found ${dtype} [${shape.join(", ")}] with ${data.length} values`,
  );
}

/** @throws OptionError for an option that only other methods read */
function checkOptions({ name, reads }: ExplainMethod, options: ExplainOptions): void {
  for (const option of methodOptions) {
    if (options[option] === undefined || reads.includes(option)) continue;
    const others = methods.filter((other) => other.reads.includes(option)).map((other) => other.name);
    throw new OptionError(`explain: ${name} takes no ${option}, unlike ${others.join(", ")}`);
  }
}

/** Where the sessions run: the options that are not of the explanation. */
function sessionOptions(options: ExplainOptions): CompileOptions {
  const own = new Set<string>(["method", ...methodOptions]);
  return Object.fromEntries(Object.entries(options).filter(([option]) => !own.has(option)));
}
