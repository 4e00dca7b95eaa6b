import { checkNumber } from "../base/check.js";
import { fillUniform, randomUniform } from "../base/random.js";
import type { Augmentation } from "./augment.js";
import { checkRandomBox, type RandomBoxOptions, randomBox } from "./crop.js";

/** What is erased, and how often. */
export interface RandomErasingOptions extends Partial<RandomBoxOptions> {
  /** Share of the images that lose a rectangle (default 0.5). */
  readonly probability?: number;
  /** What the rectangle becomes: a value, or a random one from 0 to 1 for each element (default). */
  readonly fill?: number | "random";
}

/**
 * Erases a random rectangle of the image: 2 to 40 % of its area with a ratio of 0.3 to 1 / 0.3, as in the paper (which draws the ratio
 * itself, not its logarithm). Zhong et al.: Random Erasing Data Augmentation, AAAI 2020, arXiv:1708.04896, algorithm 1.
 */
export function randomErasing(options: RandomErasingOptions = {}): Augmentation {
  const name = "randomErasing";
  const { probability = 0.5, scale = [0.02, 0.4], ratio = [0.3, 1 / 0.3], fill = "random" } = options;
  checkNumber(name, "probability", probability, { min: 0, max: 1 });
  checkRandomBox(name, { scale, ratio });
  if (fill !== "random") checkNumber(name, "fill", fill);
  return {
    name,
    apply(source, target, [channels, height, width], key) {
      target.set(source);
      if (randomUniform(key, 0) >= probability) return;
      const box = randomBox([height, width], { scale, ratio }, { ...key, stream: `${key.stream}.box` });
      if (!box) return;
      const values = new Float32Array(channels * box.height * box.width);
      if (fill === "random") fillUniform(values, { ...key, stream: `${key.stream}.fill` });
      else values.fill(fill);
      let from = 0;
      for (let plane = 0; plane < channels; plane++) {
        for (let y = box.top; y < box.top + box.height; y++) {
          const start = (plane * height + y) * width + box.left;
          target.set(values.subarray(from, from + box.width), start);
          from += box.width;
        }
      }
    },
  };
}
