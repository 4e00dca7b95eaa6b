import type { Tensor } from "../graph/tensor.js";
import { matmul, swapLast } from "../ops/matmul.js";
import { softmax } from "../ops/normalize.js";
import { reshape } from "../ops/shape.js";

/** The spatial axes as one axis of positions, row by row: [N, C, ...S] -> [N, C, P], P the product of S. */
export function flattenPositions(x: Tensor): Tensor {
  const positions = x.shape.slice(2).reduce<number>((total, _, axis) => total * x.size(axis + 2), 1);
  return reshape(x, { shape: [-1, x.size(1), positions] });
}

/** Positions as the spatial axes of `like`: [N, C, P] -> [N, C, ...S]. */
export function unflattenPositions(x: Tensor, { like }: { readonly like: Tensor }): Tensor {
  const sizes = like.shape.slice(2).map((_, axis) => like.size(axis + 2));
  return reshape(x, { shape: [-1, x.size(1), ...sizes] });
}

/** Inner products of P queries and K keys of D channels: [..., D, P], [..., D, K] -> [..., P, K]. */
export function innerProducts(query: Tensor, key: Tensor): Tensor {
  return matmul(swapLast(query), key);
}

/** For each of P queries the sum of K values under its weights: [..., P, K], [..., C, K] -> [..., C, P]. */
export function weightedSums(weights: Tensor, values: Tensor): Tensor {
  return matmul(values, swapLast(weights));
}

/** Softmax over the positions of each channel: [N, C, ...S] -> [N, C, ...S]. */
export function softmaxOverPositions(scores: Tensor): Tensor {
  return unflattenPositions(softmax(flattenPositions(scores), { axis: 2 }), { like: scores });
}

/** Weighted sum over all positions, one for the whole image: x [N, C, H, W], weights [N, 1, H, W] -> [N, C, 1, 1]. */
export function pooledContext(x: Tensor, weights: Tensor): Tensor {
  const context = weightedSums(flattenPositions(weights), flattenPositions(x)); // [N, C, 1]
  return reshape(context, { shape: [-1, x.size(1), 1, 1] });
}
