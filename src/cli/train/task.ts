import { randomRotation, randomShift } from "../../data/augment.js";
import { type ImageDataset, sliceDataset } from "../../data/dataset.js";
import { Loader } from "../../data/loader.js";
import { loadMnist } from "../../data/node-mnist.js";
import { createModel } from "../../models/registry.js";
import type { ResNet } from "../../models/resnet.js";
import type { FitOptions } from "../../train/fit-options.js";
import { crossEntropy } from "../../train/losses.js";
import { adamW, sgd } from "../../train/optimizers.js";
import { noDecayForBiasesAndNorms } from "../../train/parameter-groups.js";
import { cosine, warmUp } from "../../train/schedules.js";
import { attentionOption, type TrainSettings } from "./config.js";

/** Images of an evaluation batch; it does not change the results. */
export const evaluationBatch = 500;

/** What a run works on. */
export interface TrainTask {
  readonly model: ResNet;
  readonly train: ImageDataset;
  readonly test: ImageDataset;
  /** Options of `fit` that follow from the settings. */
  readonly fit: FitOptions;
}

/**
 * Loads the data and builds the network and the options of `fit` that settings stand for.
 * @throws DataError for missing data; OptionError for settings that do not fit together
 */
export async function createTask(settings: TrainSettings): Promise<TrainTask> {
  const { folder, trainImages, testImages } = settings.data;
  const mnist = await loadMnist(folder === null ? {} : { folder });
  const train = firstImages(mnist.train, trainImages);
  const test = firstImages(mnist.test, testImages);
  const model = createModel(settings.model, {
    ...attentionOption(settings),
    inChannels: train.imageShape[0],
    numClasses: train.classes.length,
  });
  const { seed, batchSize, learningRate, weightDecay, labelSmoothing } = settings;
  const augment = settings.augment ? [randomRotation({ degrees: 10 }), randomShift({ pixels: 2 })] : [];
  const schedule = cosine({ rate: learningRate });
  return {
    model,
    train,
    test,
    fit: {
      model,
      loss: (logits, labels) => crossEntropy(logits, labels, { labelSmoothing }),
      data: new Loader(train, { batchSize, seed, augment }),
      validation: new Loader(test, { batchSize: evaluationBatch }),
      optimizer:
        settings.optimizer === "sgd"
          ? sgd({ momentum: 0.9, nesterov: true, weightDecay })
          : adamW({ weightDecay }),
      groups: [noDecayForBiasesAndNorms],
      schedule: settings.warmUp > 0 ? warmUp(schedule, { updates: settings.warmUp }) : schedule,
      epochs: settings.epochs,
      seed,
      checkpointEvery: settings.checkpointEvery,
      ...(settings.clipNorm === null ? {} : { clip: { norm: settings.clipNorm } }),
      ...(settings.average === 0 ? {} : { ema: { decay: settings.average } }),
    },
  };
}

function firstImages(dataset: ImageDataset, count: number | null): ImageDataset {
  return count === null || count >= dataset.length ? dataset : sliceDataset(dataset, 0, count);
}
