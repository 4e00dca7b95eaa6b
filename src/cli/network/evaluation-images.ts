import { DataError } from "../../base/errors.js";
import { forEvaluation, type ImageDataset, withNormalization } from "../../data/dataset.js";
import { loadImageFolder } from "../../data/node-image-folder.js";
import { type GivenOptions, refuseOptions, textOption, UsageError } from "../command.js";
import { dataSettings } from "../train/config.js";
import { loadTrainingImages } from "../train/data-source.js";
import { storedSettings } from "../train/train-run.js";
import type { OpenedNetwork } from "./open.js";

/** Options that say which labelled images a network is tried on. */
export const imagesFlags = [
  [
    "--data <name>",
    "Images to use: mnist, cifar10, cifar100 or a folder (default: the test images of the run)",
  ],
  ["--data-folder <folder>", "Where the files of MNIST or CIFAR are"],
  ["--skip-broken", "Leave out images of a folder that cannot be read"],
] as const;

/**
 * The labelled images that a network is tried on: the test images of its run, of a known data set, or of a folder (all of a folder that
 * is not divided), brought to size and normalized as the network expects.
 * @throws DataError for classes or images that are not the network's; UsageError where none are named
 */
export async function evaluationImages(
  network: OpenedNetwork,
  options: GivenOptions,
  say: (text: string) => void,
): Promise<ImageDataset> {
  const dataset = await chosenImages(network, options, say);
  const { classes, preprocessing } = network.description;
  const named = network.run === undefined ? `${classes.length} classes` : `the classes ${classes.join(", ")}`;
  const fits =
    dataset.classes.length === classes.length &&
    (network.run === undefined || classes.every((name, index) => dataset.classes[index] === name));
  if (!fits) {
    throw new DataError(`${network.title} has ${named}; ${dataset.name} has ${dataset.classes.join(", ")}`);
  }
  if (String(dataset.imageShape) !== String(preprocessing.imageShape)) {
    throw new DataError(
      `${network.title} takes images of [${preprocessing.imageShape}]; those of ${dataset.name} are [${dataset.imageShape}]`,
    );
  }
  return dataset;
}

async function chosenImages(
  { run, title, description }: OpenedNetwork,
  options: GivenOptions,
  say: (text: string) => void,
): Promise<ImageDataset> {
  const data = textOption(options, "data");
  if (data === undefined) {
    if (run === undefined) throw new UsageError(`${title} is no run: --data must say on which images`);
    const settings = await storedSettings(run);
    const given = {
      ...(options.skipBroken === true ? { skipBroken: true } : {}),
      ...(options.dataFolder === undefined ? {} : { folder: String(options.dataFolder) }),
    };
    return (await loadTrainingImages({ ...settings, data: { ...settings.data, ...given } }, say)).test;
  }
  const settings = dataSettings(data, textOption(options, "dataFolder") ?? null);
  const { imageShape, normalization, ...resizing } = description.preprocessing;
  if (settings.data.name !== "folder") {
    refuseOptions(options, ["skipBroken"], "is for folders of images");
    return withNormalization((await loadTrainingImages(settings, say)).test, normalization);
  }
  refuseOptions(options, ["dataFolder"], `does not go with --data ${data}, which is a folder itself`);
  const [channels, height, width] = imageShape;
  const folder = await loadImageFolder(data, {
    ...resizing,
    size: [height, width],
    channels: channels === 1 ? 1 : 3,
    normalization,
    trainingCrop: { kind: "center" },
    ...(options.skipBroken === true
      ? { onError: "skip" as const, onBroken: ({ message }) => say(`left out: ${message}`) }
      : {}),
  });
  return folder.test ?? folder.validation ?? forEvaluation(folder.train);
}
