import type { Tensor } from "../graph/tensor.js";
import { matmul, swapLast } from "../ops/matmul.js";
import { reshape, transpose } from "../ops/shape.js";

/**
 * Sums of the values in the window of each position, under weights that the S channels of a group share: weights [N, G, P, K], values
 * [N, G, S, K, P] -> [N, G, S, P], for P positions and K elements of a window.
 */
export function windowSums(weights: Tensor, values: Tensor): Tensor {
  const [groups, channels, elements, positions] = [1, 2, 3, 4].map((axis) => values.size(axis)) as [
    number,
    number,
    number,
    number,
  ];
  const sums = matmul(
    reshape(weights, { shape: [-1, groups, positions, 1, elements] }),
    transpose(values, { perm: [0, 1, 4, 3, 2] }),
  ); // [N, G, P, 1, S]
  return swapLast(reshape(sums, { shape: [-1, groups, positions, channels] }));
}
