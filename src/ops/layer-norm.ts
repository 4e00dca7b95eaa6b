import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import type { Sample } from "../graph/sample.js";
import { formatShape, sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { add, mul, reciprocal, sqrt, square, sub } from "./arithmetic.js";
import { mean } from "./reduce.js";

/** Values over the last axes, centered and divided by their deviation, and one over that deviation. */
function standardize(x: Tensor, { axes, epsilon }: { axes: readonly number[]; epsilon: number }) {
  const centered = sub(x, mean(x, { axes }));
  const inverse = reciprocal(sqrt(add(mean(square(centered), { axes }), epsilon)));
  return { standard: mul(centered, inverse), inverse };
}

/** The last axes of a tensor, as many as the scale has. */
function normalizedAxes(x: Tensor, scale: Tensor): number[] {
  return scale.shape.map((_, index) => x.rank - scale.rank + index);
}

/** Inputs for the generic tests, of every operator that is this normalization. */
export const layerNormSamples: readonly Sample<{ epsilon: number }>[] = [
  { inputs: [[2, 3, 4], [4], [4]], attributes: { epsilon: 1e-5 } },
  {
    inputs: [
      [2, 3, 4],
      [3, 4],
      [3, 4],
    ],
    attributes: { epsilon: 1e-3 },
  },
];

/**
 * Normalization of each sample over its last axes, as many as scale and bias have, with the biased variance:
 * (x - mean) / sqrt(variance + epsilon) * scale + bias.
 * Ba, Kiros, Hinton: Layer Normalization, 2016, arXiv:1607.06450. Two passes, exact for means far from zero; its gradient is
 * written in the standardized values that the forward pass keeps anyway.
 */
export const layerNorm: Op<[x: Tensor, scale: Tensor, bias: Tensor], { epsilon: number }> = defineOp(
  "layerNorm",
  {
    type: ([x, scale, bias]) => {
      requireFloats([x, scale, bias]);
      for (const vector of [scale, bias]) {
        const own = x.shape.slice(Math.max(0, x.rank - vector.rank));
        if (vector.rank < 1 || vector.rank !== scale.rank || !sameShape(own, vector.shape)) {
          throw new ShapeError(
            `scale and bias must have the last axes of ${formatShape(x.shape)}, found ${formatShape(vector.shape)}`,
          );
        }
      }
      return { shape: x.shape, dtype: "float32" };
    },
    expand: ([x, scale, bias], { epsilon }) => {
      const { standard } = standardize(x, { axes: normalizedAxes(x, scale), epsilon });
      return add(mul(standard, scale), bias);
    },
    gradient: ({ inputs: [x, scale], attributes: { epsilon }, cotangent: dy }) => {
      const axes = normalizedAxes(x, scale);
      const { standard, inverse } = standardize(x, { axes, epsilon });
      return [
        () => {
          const slope = mul(dy, scale);
          const explained = add(mean(slope, { axes }), mul(standard, mean(mul(slope, standard), { axes })));
          return mul(sub(slope, explained), inverse);
        },
        () => mul(dy, standard),
        () => dy,
      ];
    },
    broadcasts: true,
    macs: 0,
    samples: layerNormSamples,
  },
);
