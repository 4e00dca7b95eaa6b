import { existsSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../../base/errors.js";
import { namedNormalization } from "../../data/normalization.js";
import { defaultResizing, type ImagePreprocessing } from "../../data/preprocessing.js";
import type { FileTensor } from "../../formats/file-tensor.js";
import { readTensorFile } from "../../formats/tensor-file.js";
import { loadCheckpoint } from "../../models/checkpoint-load.js";
import type { ImageModel } from "../../models/image-model.js";
import type { ModelOptions } from "../../models/network.js";
import * as models from "../../models/registry.js";
import { isCheckpoint, loadWeights, modelTensors, readCheckpoint } from "../../train/checkpoint.js";
import { readWholeFile } from "../../train/node-atomic-file.js";
import { RunFolder } from "../../train/node-run-folder.js";
import {
  asUsage,
  countOption,
  flagOf,
  type GivenOptions,
  pixelsOf,
  textOption,
  UsageError,
} from "../command.js";
import { describedBy, type NetworkDescription, readDescription } from "./description.js";

/** A network that is ready to be used, and what is known about it. */
export interface OpenedNetwork {
  /** The run's folder, or the network's name. */
  readonly title: string;
  /** Folder of the run; undefined for a network of the registry. */
  readonly run?: string;
  readonly model: ImageModel;
  readonly description: NetworkDescription;
}

/** Options that say what a network of the registry is to be; a run knows that itself. */
export const networkFlags = [
  ["--checkpoint <name>", "Weights of a run: best or last (default best)"],
  ["--weights <file>", "Weights of a network of the registry: a .safetensors, .pth or .pt file"],
  ["--attention <id>", "Mechanism in its blocks, such as se or se:reduction=8, or none"],
  ["--num-classes <n>", "Its classes"],
  ["--in-channels <n>", "Channels of its images"],
  ["--size <pixels>", "Height and width of its images: 224 or 224x192"],
] as const;

const forRegistry = ["weights", "attention", "numClasses", "inChannels"] as const;

/**
 * Opens what `RUN|MODEL` names: the folder of a run with its trained weights, a file of weights that `fovea export` has written, or a
 * network of the registry with weights from a file or with its initial ones.
 * @throws UsageError for options that do not go together; DataError, FormatError for files
 */
export async function openNetwork(reference: string, options: GivenOptions): Promise<OpenedNetwork> {
  return existsSync(join(reference, "config.json"))
    ? openRun(reference, options)
    : openFromRegistry(reference, options);
}

async function openRun(folder: string, options: GivenOptions): Promise<OpenedNetwork> {
  const given = [...forRegistry, "size"].filter((name) => options[name] !== undefined);
  if (given.length > 0) {
    throw new UsageError(
      `${folder} is a run, which knows its network; ${given.map(flagOf).join(", ")} cannot be given`,
    );
  }
  const name = textOption(options, "checkpoint") ?? "best";
  if (name !== "best" && name !== "last")
    throw new UsageError(`--checkpoint is ${name}; it must be best or last`);
  const run = await RunFolder.open(folder);
  const source = join(folder, `${name}.safetensors`);
  const description = readDescription(run.config.network, join(folder, "config.json"));
  const model = models.create(description.name, description.options);
  const bytes = await run.load(name);
  if (bytes === undefined) throw new DataError(`${source} does not exist: the run has saved no weights yet`);
  loadWeights(model, readCheckpoint(bytes, { source }).state, { source });
  return { title: folder, run: folder, model, description };
}

async function openFromRegistry(reference: string, options: GivenOptions): Promise<OpenedNetwork> {
  if (options.checkpoint !== undefined) {
    throw new UsageError(`--checkpoint is for runs; ${reference} is no folder of a run`);
  }
  const itself = reference.endsWith(weightsExtension);
  if (itself && options.weights !== undefined) {
    throw new UsageError(`${reference} holds weights already; --weights cannot be given`);
  }
  const path = itself ? reference : textOption(options, "weights");
  const file = path === undefined ? undefined : await readWeightsFile(path);
  const stored = file?.description;
  if (itself && !stored) {
    throw new UsageError(
      `${reference} does not say of which network it is; name the network, and give --weights`,
    );
  }
  const name = itself ? stored!.name : reference;
  const known = asUsage(() => models.info(name));
  // What the file says holds for the network that it was made of.
  const saved = stored && asUsage(() => models.info(stored.name)).name === known.name ? stored : undefined;
  const size = textOption(options, "size");
  const [height, width] = saved?.preprocessing.imageShape.slice(1) ?? [known.imageSize, known.imageSize];
  const pixels = size === undefined ? { height: height!, width: width! } : pixelsOf(size);
  const attention = textOption(options, "attention");
  const chosen: ModelOptions = {
    ...known.defaults,
    ...saved?.options,
    ...(options.numClasses === undefined ? {} : { numClasses: countOption(options, "numClasses", 1) }),
    ...(options.inChannels === undefined ? {} : { inChannels: countOption(options, "inChannels", 1) }),
    ...(attention === undefined ? {} : { attention: attention as ModelOptions["attention"] & string }),
    ...(known.defaults.imageSize === undefined ? {} : { imageSize: [pixels.height, pixels.width] }),
  };
  const model = asUsage(() => models.create(name, chosen));
  if (file && path !== undefined) loadCheckpoint(model, file.tensors, { source: path });
  const { numClasses = 1, inChannels = 3 } = chosen;
  const classes = saved?.classes.length === numClasses ? saved.classes : undefined;
  return {
    title: reference,
    model,
    description: {
      name,
      options: chosen,
      classes: classes ?? Array.from({ length: numClasses }, (_, index) => String(index)),
      preprocessing: {
        ...(saved?.preprocessing ?? usualPreprocessing(inChannels)),
        imageShape: [inChannels, pixels.height, pixels.width],
      },
    },
  };
}

/** What networks of the registry are usually trained with: ImageNet's statistics, or values from -1 to 1 for other images. */
function usualPreprocessing(channels: number): Omit<ImagePreprocessing, "imageShape"> {
  const half = Array<number>(channels).fill(0.5);
  const normalization = channels === 3 ? namedNormalization("imagenet") : { mean: half, std: half };
  return { ...defaultResizing, cropRatio: 0.875, normalization };
}

/** A file of weights that says of itself what it is has this name. */
export const weightsExtension = ".safetensors";

/** Largest file of weights that is read, in bytes. */
const maxWeightsBytes = 2 ** 33;

/** A file of weights. */
export interface WeightsFile {
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** What `fovea export` has written beside them. */
  readonly description?: NetworkDescription;
}

/** Reads a safetensors file, a PyTorch checkpoint, or a checkpoint of a run. @throws DataError where it cannot be read; FormatError */
export async function readWeightsFile(path: string): Promise<WeightsFile> {
  const bytes = await readWholeFile(path, maxWeightsBytes);
  if (bytes === undefined) throw new DataError(`${path} does not exist`);
  const { tensors, values } = readTensorFile(bytes, { source: path });
  if (isCheckpoint(values)) return { tensors: modelTensors(tensors) };
  const description = describedBy(values, path);
  return { tensors, ...(description ? { description } : {}) };
}
