import type { Tensor } from "../../graph/tensor.js";
import { mean } from "../../ops/reduce.js";
import { reshape, transpose } from "../../ops/shape.js";

/** Contiguous blocks of columns as heads: [N, L, heads*d] -> [N, heads, L, d]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const blocks = reshape(x, { shape: [-1, x.size(1), heads, x.size(2) / heads] });
  return transpose(blocks, { perm: [0, 2, 1, 3] });
}

/** [N, heads, L, d] -> [N, L, heads*d] */
export function joinHeads(x: Tensor): Tensor {
  const [heads, length, width] = [x.size(1), x.size(2), x.size(3)];
  return reshape(transpose(x, { perm: [0, 2, 1, 3] }), { shape: [-1, length, heads * width] });
}

/** Mean over the heads of a map: [N, heads, L, S] -> [N, L, S]. */
export function meanOverHeads(attention: Tensor): Tensor {
  return mean(attention, { axes: [1], keepDims: false });
}
