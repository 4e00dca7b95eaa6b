import { checkNumber } from "../base/check.js";
import { elementCount } from "../base/dtype.js";
import { permutation, type RandomKey, randomInteger, randomUniform } from "../base/random.js";
import type { ImageShape } from "./dataset.js";
import { randomBeta } from "./random-beta.js";

/** Mixes the images of a batch with each other, and their targets in the same proportion. */
export interface BatchMix {
  readonly name: string;
  /**
   * Mixes in place.
   * @param images [B, C, H, W], of the given shape each
   * @param targets [B, classes]; each row's sum stays
   * @param key what the mixture is drawn from: equal keys, equal mixtures
   */
  apply(images: Float32Array, targets: Float32Array, shape: ImageShape, key: RandomKey): void;
}

export interface MixOptions {
  /** Both parameters of the beta distribution that an image's share is drawn from, above 0. */
  readonly alpha?: number;
  /** Share of the batches that are mixed (default 1). */
  readonly probability?: number;
}

/**
 * Blends each image with another of the batch, with one share drawn from Beta(alpha, alpha) for the batch (alpha is 0.2 by default).
 * Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization, ICLR 2018, arXiv:1710.09412, equation 1.
 */
export function mixup(options: MixOptions = {}): BatchMix {
  return batchMix("mixup", { alpha: 0.2, ...options }, (images, targets, shape, share, partners) => {
    const blend = (own: Float32Array, other: Float32Array) => {
      for (let i = 0; i < own.length; i++) own[i] = share * own[i]! + (1 - share) * other[i]!;
    };
    mixRows(images, elementCount(shape), partners, blend);
    mixRows(targets, targets.length / partners.length, partners, blend);
  });
}

/**
 * Pastes a rectangle of another image of the batch into each, at one place for the batch. Its area is a share of 1 - lambda drawn from
 * Beta(alpha, alpha) (alpha is 1 by default) before it is cut at the image's edges; targets are mixed by the area that it covers.
 * Yun et al.: CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019, arXiv:1905.04899,
 * equations 1 and 2.
 */
export function cutmix(options: MixOptions = {}): BatchMix {
  return batchMix("cutmix", { alpha: 1, ...options }, (images, targets, shape, share, partners, key) => {
    const [, height, width] = shape;
    const rows = interval(height, share, key, 0);
    const columns = interval(width, share, key, 1);
    const covered = ((rows.end - rows.start) * (columns.end - columns.start)) / (height * width);
    mixRows(images, elementCount(shape), partners, (own, other) => {
      for (let y = 0; y < own.length / width; y++) {
        if (y % height < rows.start || y % height >= rows.end) continue;
        own.set(
          other.subarray(y * width + columns.start, y * width + columns.end),
          y * width + columns.start,
        );
      }
    });
    mixRows(targets, targets.length / partners.length, partners, (own, other) => {
      for (let i = 0; i < own.length; i++) own[i] = (1 - covered) * own[i]! + covered * other[i]!;
    });
  });
}

/** Applies one of several mixtures, drawn anew for each batch. */
export function oneMixOf(mixes: readonly BatchMix[]): BatchMix {
  return {
    name: mixes.map(({ name }) => name).join(" or "),
    apply(images, targets, shape, key) {
      if (mixes.length === 0) return;
      const mix = mixes[randomInteger(key, 0, mixes.length)]!;
      mix.apply(images, targets, shape, { ...key, stream: `${key.stream}.${mix.name}` });
    },
  };
}

/** Mixes with the batch's images in random order: `share` is what each keeps of its own. */
type Mixture = (
  images: Float32Array,
  targets: Float32Array,
  shape: ImageShape,
  share: number,
  partners: Uint32Array,
  key: RandomKey,
) => void;

function batchMix(
  name: string,
  { alpha, probability = 1 }: MixOptions & { readonly alpha: number },
  mix: Mixture,
): BatchMix {
  checkNumber(name, "alpha", alpha, { min: Number.MIN_VALUE });
  checkNumber(name, "probability", probability, { min: 0, max: 1 });
  return {
    name,
    apply(images, targets, shape, key) {
      if (randomUniform({ ...key, stream: `${key.stream}.probability` }, 0) >= probability) return;
      const partners = permutation(images.length / elementCount(shape), {
        ...key,
        stream: `${key.stream}.partners`,
      });
      mix(images, targets, shape, randomBeta(alpha, key), partners, key);
    },
  };
}

/** Where a rectangle covers an axis: sqrt(1 - share) of it about a random centre, cut at its ends. */
function interval(
  size: number,
  share: number,
  key: RandomKey,
  index: number,
): { start: number; end: number } {
  const half = Math.floor(size * Math.sqrt(1 - share)) / 2;
  const center = randomInteger({ ...key, stream: `${key.stream}.place` }, index, size);
  return {
    start: Math.min(Math.max(Math.ceil(center - half), 0), size),
    end: Math.min(Math.max(Math.ceil(center + half), 0), size),
  };
}

/**
 * Mixes each row of a matrix with its partner's, in place and as they all were before: along each cycle of the permutation, whose
 * first row is kept for its last.
 */
function mixRows(
  values: Float32Array,
  rowSize: number,
  partners: Uint32Array,
  mix: (own: Float32Array, other: Float32Array) => void,
): void {
  const row = (index: number) => values.subarray(index * rowSize, (index + 1) * rowSize);
  const done = new Uint8Array(partners.length);
  for (let first = 0; first < partners.length; first++) {
    if (done[first]) continue;
    const kept = row(first).slice();
    let index = first;
    do {
      done[index] = 1;
      const partner = partners[index]!;
      mix(row(index), partner === first ? kept : row(partner));
      index = partner;
    } while (index !== first);
  }
}
