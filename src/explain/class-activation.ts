import type { TokenGrid } from "../attention/map-layout.js";
import { elementCount } from "../base/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import { relu } from "../ops/activation.js";
import { add, div, mul } from "../ops/arithmetic.js";
import { cast, equal, oneHot, where } from "../ops/compare.js";
import { gradients } from "../ops/gradients.js";
import { argMax, mean, sum } from "../ops/reduce.js";
import { reshape, slice, transpose } from "../ops/shape.js";

/** How the channels of feature maps are weighted. */
export type CamMethod = "grad-cam" | "grad-cam++";

/** Features to look at: maps [N, C, H, W], or tokens [N, T, D] on a grid. */
export interface CamFeatures {
  readonly tensor: Tensor;
  readonly grid?: TokenGrid;
}

/**
 * Class activation maps by gradients: heat = relu(sum_c w_c A_c).
 * `grad-cam`: w_c is the mean over the places of the class score's gradient g. Selvaraju et al.: Grad-CAM, ICCV 2017, arXiv:1610.02391,
 * eq. 1 and 2. `grad-cam++`: w_c = sum_ij a_ij relu(g_ij), a_ij = g^2 / (2 g^2 + sum_ab A_ab g^3), of the exponential of the score, whose
 * factor exp(score) is the same at all places and left out. Chattopadhyay et al.: Grad-CAM++, WACV 2018, arXiv:1710.11063, eq. 5, 11, 19.
 * @param classes int64 [N]; the predicted ones by default
 * @returns [N, 1, H, W] of each of the features, >= 0
 */
export function classActivation(
  logits: Tensor,
  features: readonly CamFeatures[],
  options: { readonly method: CamMethod; readonly classes?: Tensor },
): Tensor[] {
  const classes = options.classes ?? argMax(logits, { axis: 1, keepDims: false });
  const score = sum(mul(logits, oneHot(classes, { depth: logits.size(1) })), { keepDims: false });
  const slopes = gradients(
    score,
    features.map(({ tensor }) => tensor),
  );
  return features.map(({ tensor, grid }, index) => {
    const [maps, slope] = [onPlane(tensor, grid), onPlane(slopes[index]!, grid)];
    const weights =
      options.method === "grad-cam" ? mean(slope, { axes: [2, 3] }) : pixelWeighted(maps, slope);
    return relu(sum(mul(weights, maps), { axes: [1] }));
  });
}

/** Weights [N, C, 1, 1] of Grad-CAM++. */
function pixelWeighted(maps: Tensor, slope: Tensor): Tensor {
  const squared = mul(slope, slope);
  const total = sum(maps, { axes: [2, 3] });
  const denominator = add(mul(squared, 2), mul(total, mul(squared, slope)));
  const isZero = equal(denominator, 0);
  // 0 / 0 where the gradient is zero: such a place has no weight.
  const shares = div(squared, add(denominator, cast(isZero, { to: "float32" })));
  return sum(mul(where(isZero, 0, shares), relu(slope)), { axes: [2, 3] });
}

/** Feature maps as they are; tokens [N, T, D] without the learned ones as maps [N, D, rows, columns]. */
function onPlane(features: Tensor, grid: TokenGrid | undefined): Tensor {
  if (!grid) return features;
  const { prefix, rows, columns } = grid;
  const patches = slice(features, {
    axes: [1],
    starts: [prefix],
    ends: [prefix + elementCount([rows, columns])],
  });
  return reshape(transpose(patches, { perm: [0, 2, 1] }), { shape: [-1, features.size(2), rows, columns] });
}
