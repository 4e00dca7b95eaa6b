import { checkInteger } from "../base/check.js";
import { elementCount, type HostTensor } from "../base/dtype.js";
import { OptionError, ShapeError } from "../base/errors.js";
import type { HeatMap } from "../report/image.js";
import { resizePlane } from "../report/resize.js";
import type { CompileOptions } from "../runtime/executable.js";
import { baselineImage } from "./baseline.js";
import { BatchClassifier, scoreOf } from "./batch-classifier.js";
import { blur } from "./blur.js";
import { highestScore } from "./scores.js";
import type { ExplainableModel } from "./types.js";

/** Options of `faithfulness`. */
export interface FaithfulnessOptions extends Omit<CompileOptions, "taps"> {
  /** Class whose probability is followed; the predicted one by default. */
  readonly class?: number;
  /** Number of equal steps from none of the pixels to all; at most the number of pixels; 28, where there are as many, by default. */
  readonly steps?: number;
  /** What deletion leaves behind: a value of every pixel, as the model takes it, or an image [C, H, W]; 0 by default. */
  readonly blank?: number | HostTensor;
  /** What insertion starts from; the image, blurred beyond recognition, by default. */
  readonly start?: number | HostTensor;
  /** Images that run at a time; 16 by default. */
  readonly batchSize?: number;
}

/** The class's probability as pixels come or go. */
export interface FaithfulnessCurve {
  /** Probability at each step from none to all of the pixels, the most important ones first. */
  readonly scores: Float32Array;
  /** Area under the curve over the share of the pixels, from 0 to 1. */
  readonly area: number;
}

/** How well a heat map tells what the network looks at. */
export interface Faithfulness {
  readonly class: number;
  /** Pixels appear; a faithful map has a large area. */
  readonly insertion: FaithfulnessCurve;
  /** Pixels vanish; a faithful map has a small area. */
  readonly deletion: FaithfulnessCurve;
}

/** Blur of the insertion's start, as a share of the image's longer side: about 10 of 224 pixels. */
const blurShare = 1 / 22;

/**
 * Whether a heat map is true to the network: the class's probability while the pixels appear (insertion) or vanish (deletion) in the
 * order of the map. Petsiuk, Das, Saenko: RISE, BMVC 2018, arXiv:1806.07421, section 4.3.
 * @param image [C, H, W] as the model takes it
 * @param heat [h, w], resized to the image; equal values keep the order of the rows
 * @throws ShapeError, OptionError
 */
export async function faithfulness(
  model: ExplainableModel,
  image: HostTensor,
  heat: HeatMap,
  options: FaithfulnessOptions = {},
): Promise<Faithfulness> {
  const { class: asked, steps: _steps, blank, start, batchSize = 16, ...session } = options;
  const { shape } = image;
  if (shape.length !== 3 || image.dtype !== "float32") {
    throw new ShapeError(
      `faithfulness: image must be float32 [C, H, W], found ${image.dtype} [${shape.join(", ")}]`,
    );
  }
  const [channels, height, width] = shape as [number, number, number];
  const pixels = height * width;
  const steps = options.steps ?? Math.min(28, pixels);
  checkInteger("faithfulness", "steps", steps, { min: 1, max: pixels });
  checkInteger("faithfulness", "batchSize", batchSize, { min: 1 });
  const values = image.data as Float32Array;
  const order = pixelOrder(heat, [height, width]);
  const deletionEnd = baselineImage(blank, shape);
  const insertionStart =
    start === undefined
      ? blur(values, shape, Math.max(height, width) * blurShare)
      : baselineImage(start, shape);

  const classifier = await BatchClassifier.create(model, shape, { ...session, batchSize });
  try {
    const along = (from: Float32Array, to: Float32Array) =>
      classifier.logits(steps + 1, (step, out) => {
        out.set(from);
        const changed = Math.round((step / steps) * pixels);
        for (let index = 0; index < changed; index++) {
          for (let channel = 0; channel < channels; channel++) {
            const at = channel * pixels + order[index]!;
            out[at] = to[at]!;
          }
        }
      });
    const deletion = await along(values, deletionEnd);
    const label = asked ?? highestScore(deletion[0]!);
    checkInteger("faithfulness", "class", label, { max: deletion[0]!.length - 1 });
    const insertion = await along(insertionStart, values);
    return { class: label, insertion: curve(insertion, label), deletion: curve(deletion, label) };
  } finally {
    await classifier.close();
  }
}

/** Pixels from the most to the least important. */
function pixelOrder(heat: HeatMap, size: readonly [height: number, width: number]): Uint32Array {
  const [rows, columns] = heat.shape;
  if (heat.shape.length !== 2 || elementCount(heat.shape) !== heat.data.length) {
    throw new ShapeError(
      `faithfulness: heat map must be [rows, columns], found [${heat.shape.join(", ")}] with ${heat.data.length} values`,
    );
  }
  if (!heat.data.every(Number.isFinite))
    throw new OptionError("faithfulness: the heat map has values that are no numbers");
  const plane = resizePlane(heat.data, [rows!, columns!], size, "bilinear");
  return Uint32Array.from(plane.keys()).sort((a, b) => plane[b]! - plane[a]! || a - b);
}

/** Area by the trapezoidal rule. */
function curve(logits: readonly Float32Array[], label: number): FaithfulnessCurve {
  const scores = Float32Array.from(logits, (row) => scoreOf(row, label, "probability"));
  const ends = (scores[0]! + scores.at(-1)!) / 2;
  const area = (scores.reduce((sum, score) => sum + score, 0) - ends) / (scores.length - 1);
  return { scores, area };
}
