import { OptionError } from "../../base/errors.js";
import {
  type Augmentation,
  randomCrop,
  randomHorizontalFlip,
  randomRotation,
  randomShift,
} from "../../data/augment.js";
import { colorJitter } from "../../data/color-jitter.js";
import { forEvaluation, type ImageDataset, sliceDataset } from "../../data/dataset.js";
import { loadCifar10, loadCifar100 } from "../../data/node-cifar.js";
import { loadImageFolder } from "../../data/node-image-folder.js";
import { loadMnist } from "../../data/node-mnist.js";
import { readableImages } from "../../data/readable.js";
import { splitDataset } from "../../data/split.js";
import type { DataName, TrainSettings } from "./config.js";

type DataSettings = TrainSettings["data"];

/** Images to train on and to test on. */
export interface TrainingImages {
  readonly train: ImageDataset;
  readonly test: ImageDataset;
}

/** Data that can be trained on, and what is usually done to their images in training. */
interface DataSource {
  load(settings: DataSettings, context: { seed: number; say(text: string): void }): Promise<TrainingImages>;
  augment(): Augmentation[];
}

const cifarAugmentation = () => [randomCrop({ padding: 4 }), randomHorizontalFlip()];

const sources: Readonly<Record<DataName, DataSource>> = {
  mnist: {
    load: ({ folder }) => loadMnist(folder === null ? {} : { folder }),
    augment: () => [randomRotation({ degrees: 10 }), randomShift({ pixels: 2 })],
  },
  cifar10: {
    load: (settings) => loadCifar10({ folder: requiredFolder(settings) }),
    augment: cifarAugmentation,
  },
  cifar100: {
    load: (settings) => loadCifar100({ folder: requiredFolder(settings) }),
    augment: cifarAugmentation,
  },
  folder: {
    load: async (settings, { seed, say }) => {
      const { size, validation, skipBroken } = settings;
      const folder = await loadImageFolder(requiredFolder(settings), {
        size,
        onError: skipBroken ? "skip" : "fail",
        ...(skipBroken ? { onBroken: ({ message }) => say(`left out: ${message}`) } : {}),
      });
      const { train, validation: heldBack = folder.test } = folder;
      if (heldBack) return { train, test: heldBack };
      const parts = splitDataset(train, { validation, seed });
      return { train: parts.train, test: parts.validation };
    },
    augment: () => [randomHorizontalFlip(), colorJitter({ brightness: 0.2, contrast: 0.2, saturation: 0.2 })],
  },
};

function requiredFolder({ name, folder }: DataSettings): string {
  if (folder !== null) return folder;
  throw new OptionError(`training on ${name} needs --data-folder, where its files are`);
}

/**
 * Loads the images that settings name, as many of them as they say; broken ones to test on are left out where settings allow it.
 * @param say told of images that are left out
 * @throws DataError, OptionError
 */
export async function loadTrainingImages(
  { data, seed, overfit }: Pick<TrainSettings, "data" | "seed" | "overfit">,
  say: (text: string) => void,
): Promise<TrainingImages> {
  const { train, test } = await sources[data.name].load(data, { seed, say });
  const trained = firstImages(train, data.trainImages);
  if (overfit === null) {
    return { train: trained, test: await readableImages(firstImages(test, data.testImages)) };
  }
  // The same few images to train and to test on.
  const few = await readableImages(forEvaluation(firstImages(trained, overfit)));
  return { train: few, test: few };
}

/** What is done to training images, where settings ask for it. */
export function usualAugmentation({ augment, data }: TrainSettings): Augmentation[] {
  return augment ? sources[data.name].augment() : [];
}

function firstImages(dataset: ImageDataset, count: number | null): ImageDataset {
  return count === null || count >= dataset.length ? dataset : sliceDataset(dataset, 0, count);
}
