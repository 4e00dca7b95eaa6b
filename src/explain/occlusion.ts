import { checkInteger } from "../base/check.js";
import { elementCount, type HostTensor } from "../base/dtype.js";
import { baselineImage } from "./baseline.js";
import { BatchClassifier, scoreOf } from "./batch-classifier.js";
import { classMap } from "./explained-map.js";
import type { ExplainMethod } from "./method.js";
import { chosenClasses, highestScore } from "./scores.js";

/**
 * What a class loses where a window of the image is covered: at each pixel the mean loss over the windows that cover it.
 * Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, arXiv:1311.2901, section 4.2.
 */
export const occlusion: ExplainMethod = {
  name: "occlusion",
  reads: ["classes", "window", "stride", "baseline", "score", "batchSize"],
  lacks: ({ pass }) => (pass.logits ? undefined : "logits [N, classes]"),
  async create({ model, imageShape, options, session }) {
    const [, height, width] = imageShape as [number, number, number];
    const window = options.window ?? [Math.ceil(height / 7), Math.ceil(width / 7)];
    const stride = options.stride ?? [Math.ceil(window[0] / 2), Math.ceil(window[1] / 2)];
    for (const [axis, limit] of [height, width].entries()) {
      checkInteger("explain", "window", window[axis], { min: 1, max: limit });
      // A larger step would leave pixels out.
      checkInteger("explain", "stride", stride[axis], { min: 1, max: window[axis]! });
    }
    const blank = baselineImage(options.baseline, imageShape);
    const places = starts(height, window[0], stride[0]).flatMap((top) =>
      starts(width, window[1], stride[1]).map((left) => [top, left] as const),
    );
    const batchSize = Math.min(options.batchSize ?? 16, places.length + 1);
    const classifier = await BatchClassifier.create(model, imageShape, { ...session, batchSize });
    const size = height * width;
    /** Pixels of a window in every channel. */
    const cover = (place: readonly [number, number], each: (at: number) => void, channels: number) => {
      for (let channel = 0; channel < channels; channel++) {
        for (let row = place[0]; row < place[0] + window[0]; row++) {
          for (let column = place[1]; column < place[1] + window[1]; column++) {
            each(channel * size + row * width + column);
          }
        }
      }
    };
    return {
      async explain(image: HostTensor) {
        const [whole, ...covered] = await classifier.logits(places.length + 1, (index, out) => {
          out.set(image.data as Float32Array);
          if (index === 0) return;
          cover(places[index - 1]!, (at) => (out[at] = blank[at]!), elementCount(imageShape) / size);
        });
        const logits = whole!;
        const maps = chosenClasses(options.classes, logits).map((label) => {
          const full = scoreOf(logits, label, options.score);
          const loss = new Float64Array(size);
          const times = new Float64Array(size);
          for (const [index, place] of places.entries()) {
            const lost = full - scoreOf(covered[index]!, label, options.score);
            cover(
              place,
              (at) => {
                loss[at]! += lost;
                times[at]!++;
              },
              1,
            );
          }
          const plane = {
            data: Float32Array.from(loss, (sum, at) => sum / times[at]!),
            shape: [height, width],
          };
          return classMap(plane, { tap: "input", name: "occlusion", class: label, signed: true });
        });
        return { method: "occlusion", logits, prediction: highestScore(logits), maps };
      },
      close: () => classifier.close(),
    };
  },
};

/** First pixels of the windows along an axis; the last one ends at the border. */
function starts(length: number, window: number, stride: number): number[] {
  const count = Math.ceil((length - window) / stride) + 1;
  return Array.from({ length: count }, (_, index) => Math.min(index * stride, length - window));
}
