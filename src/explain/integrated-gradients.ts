import { checkInteger } from "../base/check.js";
import { elementCount, type HostTensor } from "../base/dtype.js";
import { trace } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { mul } from "../ops/arithmetic.js";
import { oneHot } from "../ops/compare.js";
import { gradients } from "../ops/gradients.js";
import { softmax } from "../ops/normalize.js";
import { sum } from "../ops/reduce.js";
import { reshape } from "../ops/shape.js";
import { compile } from "../runtime/executable.js";
import { baselineImage } from "./baseline.js";
import { scoreOf } from "./batch-classifier.js";
import { classMap, sumOverChannels } from "./explained-map.js";
import type { ExplainMethod, MethodContext } from "./method.js";
import { forwardPass, requireLogits } from "./probe.js";
import { chosenClasses, highestScore, rowOf } from "./scores.js";
import type { ExplainedMap } from "./types.js";

const defaultSteps = 50;

/**
 * The gradient of a class's score along the straight way from a baseline to the image, times the way: values of the pixels that add up
 * to the difference of the score. The integral is a sum over the midpoints of equal steps.
 * Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, ICML 2017, arXiv:1703.01365, eq. 1 and 3.
 */
export const integratedGradients: ExplainMethod = {
  name: "integrated-gradients",
  reads: ["classes", "baseline", "steps", "score", "batchSize"],
  lacks: ({ pass }) => (pass.logits ? undefined : "logits [N, classes]"),
  async create(context) {
    const { imageShape, options } = context;
    const steps = options.steps ?? defaultSteps;
    checkInteger("explain", "steps", steps, { min: 1 });
    const baseline = baselineImage(options.baseline, imageShape);
    // The image and the baseline run with the points on the way, at weight 0.
    const points = steps + 2;
    const batchSize = Math.min(options.batchSize ?? 16, points);
    const executable = await compile(slopeGraph(context, batchSize), context.session);
    const size = elementCount(imageShape);

    /** Slopes and logits of the points from `first` on; the image and the baseline are points 0 and 1. */
    async function runPoints(image: Float32Array, label: number, first: number) {
      const x = new Float32Array(batchSize * size);
      const weights = new Float32Array(batchSize);
      for (let row = 0; row < batchSize; row++) {
        const point = first + row;
        const isStep = point >= 2 && point < points;
        const share = isStep ? (point - 1.5) / steps : point === 0 ? 1 : 0;
        if (isStep) weights[row] = 1 / steps;
        for (let at = 0; at < size; at++) {
          x[row * size + at] = baseline[at]! + share * (image[at]! - baseline[at]!);
        }
      }
      const labels = new BigInt64Array(batchSize).fill(BigInt(label));
      const { outputs } = await executable.run({
        x: { dtype: "float32", shape: [batchSize, ...imageShape], data: x },
        classes: { dtype: "int64", shape: [batchSize], data: labels },
        weights: { dtype: "float32", shape: [batchSize], data: weights },
      });
      return { slope: outputs.slope!.data as Float32Array, logits: outputs.logits! };
    }

    /** Mean slope of all steps, and the logits of the image and the baseline. */
    async function integrate(image: Float32Array, label: number) {
      const slopes = new Float64Array(size);
      const ends: Float32Array[] = [];
      for (let first = 0; first < points; first += batchSize) {
        const { slope, logits } = await runPoints(image, label, first);
        for (let at = 0; at < size; at++) slopes[at]! += slope[at]!;
        for (let row = 0; row < batchSize && first + row < 2; row++) ends.push(rowOf(logits, row));
      }
      return { slopes, ends: ends as [Float32Array, Float32Array] };
    }

    return {
      async explain(image: HostTensor) {
        const values = image.data as Float32Array;
        const logits = rowOf((await runPoints(values, 0, 0)).logits, 0);
        const missing: number[] = [];
        const maps: ExplainedMap[] = [];
        for (const label of chosenClasses(options.classes, logits)) {
          const { slopes, ends } = await integrate(values, label);
          const data = Float32Array.from(slopes, (slope, at) => slope * (values[at]! - baseline[at]!));
          const [atImage, atBaseline] = ends.map((end) => scoreOf(end, label, options.score)) as [
            number,
            number,
          ];
          missing.push(data.reduce((total, value) => total + value, 0) - (atImage - atBaseline));
          const plane = sumOverChannels(data, imageShape);
          const about = { tap: "input", name: "integrated-gradients", class: label, signed: true };
          maps.push(classMap(plane, { ...about, values: { dtype: "float32", shape: imageShape, data } }));
        }
        return {
          method: "integrated-gradients",
          logits,
          prediction: highestScore(logits),
          maps,
          missing,
        };
      },
      close: () => executable.close(),
    };
  },
};

/** x [N, C, H, W], classes [N], weights [N] -> slope [1, C, H, W], the weighted sum of the gradients; logits [N, K]. */
function slopeGraph({ model, imageShape, options }: MethodContext, batchSize: number) {
  const slopeOf = ({ x, classes, weights }: Record<"x" | "classes" | "weights", Tensor>) => {
    const logits = requireLogits(forwardPass(model, x, options));
    const scores = options.score === "probability" ? softmax(logits, { axis: 1 }) : logits;
    const chosen = mul(scores, oneHot(classes, { depth: logits.size(1) }));
    const score = sum(mul(chosen, reshape(weights, { shape: [batchSize, 1] })), { keepDims: false });
    const [slope] = gradients(score, [x]);
    return { slope: sum(slope!, { axes: [0] }), logits };
  };
  const types = {
    x: { shape: [batchSize, ...imageShape] },
    classes: { shape: [batchSize], dtype: "int64" as const },
    weights: { shape: [batchSize] },
  };
  return trace(slopeOf, types, { model });
}
