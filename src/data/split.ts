import { checkInteger, checkNumber } from "../base/check.js";
import { DataError, OptionError } from "../base/errors.js";
import { permutation } from "../base/random.js";
import { forEvaluation, type ImageDataset, selectImages } from "./dataset.js";

/** How a data set is divided. */
export interface SplitOptions {
  /** Share of the images that validate, between 0 and 1. */
  readonly validation: number;
  /** Seed of the choice; 0 by default. */
  readonly seed?: number;
  /** Whether each class is divided in that proportion (default): every class then keeps at least one image to train on. */
  readonly stratified?: boolean;
}

/** The two parts of a divided data set; each keeps the order of the whole. */
export interface Split {
  readonly train: ImageDataset;
  /** Its images are those of evaluation, without the random crops of training. */
  readonly validation: ImageDataset;
}

/**
 * Divides a data set at random; equal seeds, equal parts.
 * @throws OptionError for a share that is none; DataError where a part would be empty
 */
export function splitDataset(dataset: ImageDataset, options: SplitOptions): Split {
  const { validation, seed = 0, stratified = true } = options;
  checkNumber("splitDataset", "validation", validation, { min: 0, max: 1 });
  if (validation === 0 || validation === 1) {
    throw new OptionError(`splitDataset: validation is ${validation}; it must lie between 0 and 1`);
  }
  checkInteger("splitDataset", "seed", seed);
  const groups = stratified
    ? imagesOfClasses(dataset)
    : [Array.from({ length: dataset.length }, (_, i) => i)];
  const counts = allot(
    groups.map((group) => group.length),
    validation,
  );
  const chosen = new Uint8Array(dataset.length);
  groups.forEach((group, index) => {
    const order = permutation(group.length, { seed, stream: "split", step: index });
    for (let i = 0; i < counts[index]!; i++) chosen[group[order[i]!]!] = 1;
  });
  const part = (validates: number) =>
    Array.from({ length: dataset.length }, (_, index) => index).filter(
      (index) => chosen[index] === validates,
    );
  const [train, rest] = [part(0), part(1)];
  if (train.length === 0 || rest.length === 0) {
    throw new DataError(
      `${dataset.name}: a validation share of ${validation} divides its ${dataset.length} images into ${train.length} and ${rest.length}; neither part may be empty`,
    );
  }
  return { train: selectImages(dataset, train), validation: forEvaluation(selectImages(dataset, rest)) };
}

function imagesOfClasses(dataset: ImageDataset): number[][] {
  const groups = dataset.classes.map((): number[] => []);
  for (let index = 0; index < dataset.length; index++) groups[dataset.label(index)]!.push(index);
  return groups;
}

/** How many of each group are taken: its share rounded down, and what is missing from the groups whose rest is largest. */
function allot(sizes: readonly number[], share: number): number[] {
  const counts = sizes.map((size) => Math.floor(size * share));
  let missing =
    Math.round(sizes.reduce((total, size) => total + size, 0) * share) -
    counts.reduce((total, count) => total + count, 0);
  const byRest = sizes
    .map((size, index) => ({ index, rest: size * share - counts[index]! }))
    // Equal rests in the order of the groups: sorting is stable.
    .sort((a, b) => b.rest - a.rest);
  for (const { index, rest } of byRest) {
    if (missing <= 0 || rest === 0) break;
    if (counts[index]! + 1 >= sizes[index]!) continue;
    counts[index]!++;
    missing--;
  }
  return counts;
}
