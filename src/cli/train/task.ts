import { Loader } from "../../data/loader.js";
import { cutmix, mixup } from "../../data/mix.js";
import { preprocessingOf } from "../../data/preprocessing.js";
import { randomErasing } from "../../data/random-erasing.js";
import { loadCheckpoint } from "../../models/checkpoint-load.js";
import type { ImageModel } from "../../models/image-model.js";
import type { ModelOptions } from "../../models/network.js";
import * as models from "../../models/registry.js";
import type { FitOptions } from "../../train/fit-options.js";
import { crossEntropy } from "../../train/losses.js";
import { adamW, sgd } from "../../train/optimizers.js";
import { noDecayForBiasesAndNorms } from "../../train/parameter-groups.js";
import { cosine, warmUp } from "../../train/schedules.js";
import { asUsage } from "../command.js";
import { requireClassifier } from "../network/classifier.js";
import type { NetworkDescription } from "../network/description.js";
import { readWeightsFile } from "../network/open.js";
import { attentionOption, type TrainSettings } from "./config.js";
import { loadTrainingImages, type TrainingImages, usualAugmentation } from "./data-source.js";

/** Images of an evaluation batch; it does not change the results. */
export function evaluationBatch({ imageShape: [, height, width] }: TrainingImages["test"]): number {
  return height * width <= 64 * 64 ? 500 : 32;
}

/** What a run works on. */
export interface TrainTask extends TrainingImages {
  readonly model: ImageModel;
  readonly network: NetworkDescription;
  /** Parameters that keep the values of a new network, though the run begins with weights from a file. */
  readonly fresh: readonly string[];
  /** Options of `fit` that follow from the settings. */
  readonly fit: FitOptions;
}

/**
 * Loads the data and builds the network and the options of `fit` that settings stand for.
 * @param context.say told of images that are left out
 * @param context.resumes the run's checkpoint has the weights: those to begin with are not read again
 * @throws UsageError for a network or mechanism that cannot be used; DataError for missing data; OptionError for settings that do not fit together; FormatError for weights that do not fit
 */
export async function createTask(
  settings: TrainSettings,
  { say = () => {}, resumes = false }: { say?: (text: string) => void; resumes?: boolean } = {},
): Promise<TrainTask> {
  asUsage(() => requireClassifier(settings.model));
  const { train, test } = await loadTrainingImages(settings, say);
  const { model: name, seed, batchSize, learningRate, weightDecay, labelSmoothing } = settings;
  const [inChannels, height, width] = train.imageShape;
  const sized = models.info(name).defaults.imageSize !== undefined;
  const options: ModelOptions = {
    ...attentionOption(settings),
    inChannels,
    numClasses: train.classes.length,
    ...(sized ? { imageSize: [height, width] } : {}),
  };
  const model = asUsage(() => models.create(name, options));
  const fresh = settings.init === null || resumes ? [] : await beginWith(model, settings.init);
  const schedule = cosine({ rate: learningRate });
  return {
    model,
    network: { name, options, classes: train.classes, preprocessing: preprocessingOf(train) },
    train,
    test,
    fresh,
    fit: {
      model,
      loss: (logits, labels) => crossEntropy(logits, labels, { labelSmoothing }),
      data: new Loader(train, { batchSize, seed, ...changes(settings) }),
      validation: new Loader(test, { batchSize: evaluationBatch(test) }),
      optimizer:
        settings.optimizer === "sgd"
          ? sgd({ momentum: 0.9, nesterov: true, weightDecay })
          : adamW({ weightDecay }),
      groups: [noDecayForBiasesAndNorms, ...settings.freeze.map((match) => ({ match, frozen: true }))],
      schedule: settings.warmUp > 0 ? warmUp(schedule, { updates: settings.warmUp }) : schedule,
      epochs: settings.epochs,
      seed,
      checkpointEvery: settings.checkpointEvery,
      ...(settings.clipNorm === null ? {} : { clip: { norm: settings.clipNorm } }),
      ...(settings.average === 0 ? {} : { ema: { decay: settings.average } }),
    },
  };
}

/** What is done to training images and batches. */
function changes(settings: TrainSettings) {
  if (settings.overfit !== null) return {};
  const { erase, mixup: blended, cutmix: pasted } = settings;
  return {
    augment: [...usualAugmentation(settings), ...(erase > 0 ? [randomErasing({ probability: erase })] : [])],
    mix: [
      ...(blended > 0 ? [mixup({ alpha: blended })] : []),
      ...(pasted > 0 ? [cutmix({ alpha: pasted })] : []),
    ],
  };
}

/** Gives a network the weights of a file, but for a classifier of other classes. Returns what is left as it was. */
async function beginWith(model: ImageModel, file: string): Promise<readonly string[]> {
  const { tensors } = await readWeightsFile(file);
  return loadCheckpoint(model, tensors, { newHead: true, source: file }).kept;
}
