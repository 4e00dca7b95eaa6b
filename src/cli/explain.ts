import { basename, join } from "node:path";
import { OptionError } from "../base/errors.js";
import { didYouMean } from "../base/suggestion.js";
import { BrokenImageError } from "../data/dataset.js";
import { type LoadedImage, loadImage } from "../data/node-load-image.js";
import { createExplainer } from "../explain/explain.js";
import { faithfulness } from "../explain/faithfulness.js";
import { softmax } from "../explain/scores.js";
import {
  type ExplainMethodName,
  type ExplainOptions,
  type Explanation,
  explainMethods,
} from "../explain/types.js";
import { initialize } from "../graph/model.js";
import { table } from "../report/table.js";
import { formatPercent } from "../report/units.js";
import {
  type Command,
  countOption,
  type GivenOptions,
  sessionFlags,
  sessionOptions,
  textOption,
  textOptions,
  UsageError,
  writeJson,
} from "./command.js";
import { galleryFile, imageFolders, type WrittenMap, writeMaps } from "./explain/result-files.js";
import { networkFlags, type OpenedNetwork, openNetwork } from "./network/open.js";

/** Areas under the curves of insertion and deletion. */
interface Areas {
  readonly insertion: number;
  readonly deletion: number;
}

interface ExplainedImage {
  readonly image: string;
  readonly folder: string;
  readonly gallery: string;
  /** The predicted class and its probability; absent for networks that are no classifiers. */
  readonly class?: string;
  readonly probability?: number;
  readonly maps: readonly (WrittenMap & { readonly faithfulness?: Areas })[];
}

/** `fovea explain`: pictures of what a network looks at. */
export const explainCommand: Command = {
  usage: "explain <...images>",
  summary: "Show what a network looks at in images: overlays, bars and raw maps",
  options: [
    ["--model <run-or-model>", "Folder of a run, or a network's name (required)"],
    ["--method <name>", `${explainMethods.join(", ")} (default attention)`],
    ["--taps <pattern>", "Maps, features or layers to show, such as '*.attention'; may be repeated"],
    ["--class <name>", "Class to explain, by name or number (default the predicted one); may be repeated"],
    ["--to <folder>", "Where a folder for each image is made (default explained)"],
    ["--steps <n>", "Steps of integrated gradients (default 50)"],
    [
      "--faithfulness",
      "Measure maps of a class and rollouts: insertion and deletion of pixels in their order",
    ],
    ...networkFlags,
    ...sessionFlags,
  ],
  examples: [
    "fovea explain cat.jpg --model runs/photos --method grad-cam++",
    "fovea explain *.jpg --model resnet50 --weights resnet50.pth --method occlusion --faithfulness",
    "fovea explain cat.jpg --model vit_small_patch16_224 --weights vit.safetensors --taps 'blocks.11.*' --to maps",
  ],
  async run({ args, options, json, output }) {
    const reference = textOption(options, "model");
    if (reference === undefined)
      throw new UsageError("--model is missing: a run's folder, or a network's name");
    const method = methodOf(options);
    if (options.faithfulness === true && method === "attention")
      throw new UsageError("--faithfulness measures maps of a class and rollouts, not those of attention");
    const network = await openNetwork(reference, options);
    initialize(network.model);
    const { preprocessing } = network.description;
    const chosen = explainOptions(method, network, options);
    const explainer = await createExplainer(network.model, preprocessing.imageShape, chosen).catch(
      asWrongUsage,
    );
    const folders = imageFolders(textOption(options, "to") ?? "explained", args);
    const found: ExplainedImage[] = [];
    const broken: { image: string; problem: string }[] = [];
    try {
      for (const [index, image] of args.entries()) {
        try {
          const loaded = await loadImage(image, preprocessing);
          const { x } = loaded;
          const explanation = await explainer.explain({ ...x, shape: x.shape.slice(1) }).catch(asWrongUsage);
          const kept = await keep(image, folders[index]!, loaded, explanation, network);
          const measured =
            options.faithfulness === true ? await measure(network, loaded, explanation.maps, options) : [];
          const maps = kept.maps.map((map, at) => ({
            ...map,
            ...(measured[at] ? { faithfulness: measured[at] } : {}),
          }));
          found.push({ ...kept, maps });
          output.log(`${image}: ${join(kept.folder, galleryFile)}`);
        } catch (error) {
          if (!(error instanceof BrokenImageError)) throw error;
          broken.push({ image, problem: error.message });
        }
      }
    } finally {
      await explainer.close();
    }
    for (const { problem } of broken) output.log(`fovea: ${problem}`);
    if (json) writeJson(output, { method, images: found, broken });
    else if (found.length > 0) output.result(resultTable(found));
    return broken.length === 0 ? 0 : 1;
  },
};

function methodOf(options: GivenOptions): ExplainMethodName {
  const given = textOption(options, "method") ?? "attention";
  const method = explainMethods.find((name) => name === given);
  if (!method) throw new UsageError(`--method is ${given}; ${didYouMean(given, explainMethods)}`);
  return method;
}

function explainOptions(
  method: ExplainMethodName,
  { description }: OpenedNetwork,
  options: GivenOptions,
): ExplainOptions {
  const taps = textOptions(options, "taps");
  const classes = textOptions(options, "class").map((name) => classNumber(name, description.classes));
  return {
    ...sessionOptions(options),
    method,
    ...(taps.length > 0 ? { taps } : {}),
    ...(classes.length > 0 ? { classes } : {}),
    ...(options.steps === undefined ? {} : { steps: countOption(options, "steps", 1) }),
  };
}

/** A class by its name, or else by its number. */
function classNumber(given: string, classes: readonly string[]): number {
  const named = classes.indexOf(given);
  const number = named >= 0 ? named : /^\d+$/.test(given) ? Number(given) : -1;
  if (number >= 0 && number < classes.length) return number;
  throw new UsageError(`--class is ${given}; ${didYouMean(given, classes)}`);
}

/** What the explanation refuses was asked for on the command line. */
function asWrongUsage(error: unknown): never {
  if (error instanceof OptionError) throw new UsageError(error.message, { cause: error });
  throw error;
}

async function keep(
  image: string,
  folder: string,
  { x, pixels }: LoadedImage,
  { method, logits, prediction, maps }: Explanation,
  { title, description }: OpenedNetwork,
): Promise<ExplainedImage> {
  const { classes } = description;
  const said =
    prediction === undefined
      ? undefined
      : { class: classes[prediction]!, probability: softmax(logits)[prediction]! };
  const picture = { data: Float32Array.from(pixels, (level) => level / 255), shape: x.shape.slice(1) };
  const subtitle = said ? `${title}: ${said.class}, ${formatPercent(said.probability, 1)}` : title;
  const words = { title: `${method} of ${basename(image)}`, subtitle };
  const written = await writeMaps(folder, { image: picture, maps, classes, ...words });
  return { image, folder, gallery: galleryFile, ...said, maps: written };
}

/** How faithful maps of a class or a rollout are; undefined for one that is no heat map. */
async function measure(
  { model }: OpenedNetwork,
  { x }: LoadedImage,
  maps: Explanation["maps"],
  options: GivenOptions,
): Promise<(Areas | undefined)[]> {
  const image = { ...x, shape: x.shape.slice(1) };
  const areas: (Areas | undefined)[] = [];
  for (const { class: label, views } of maps) {
    const [view] = views;
    if (view?.form !== "heat") {
      areas.push(undefined);
      continue;
    }
    const chosen = { ...sessionOptions(options), ...(label === undefined ? {} : { class: label }) };
    const { insertion, deletion } = await faithfulness(model, image, view.heat, chosen);
    areas.push({ insertion: insertion.area, deletion: deletion.area });
  }
  return areas;
}

function resultTable(images: readonly ExplainedImage[]): string {
  const measured = images.some(({ maps }) => maps.some((map) => map.faithfulness));
  const rows = images.flatMap(({ image, class: name, probability, folder, maps }) =>
    maps.map((map, index) => [
      index === 0 ? image : "",
      index === 0 && name !== undefined ? `${name} ${formatPercent(probability!, 1)}` : "",
      map.class === undefined ? map.tap : `${map.tap}, ${map.class}`,
      map.kind,
      `[${map.shape.join(", ")}]`,
      ...(measured
        ? [map.faithfulness?.insertion.toFixed(3) ?? "", map.faithfulness?.deletion.toFixed(3) ?? ""]
        : []),
      join(folder, map.picture),
    ]),
  );
  const areas = measured ? ["insertion", "deletion"] : [];
  return table(["image", "class", "map", "kind", "shape", ...areas, "picture"], rows);
}
