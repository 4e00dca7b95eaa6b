import type { Tensor } from "../graph/tensor.js";
import type { Variable } from "../graph/variable.js";
import { Conv2d } from "../nn/conv.js";
import { Module } from "../nn/module.js";
import { defaultInitializer, kaimingNormal, parameter } from "../nn/variables.js";
import { add, mul, sub } from "../ops/arithmetic.js";
import { matmul, swapLast } from "../ops/matmul.js";
import { perChannel } from "../ops/normalize.js";
import { mean } from "../ops/reduce.js";
import { reshape, transpose } from "../ops/shape.js";

/** Covariance of rows over positions, biased and in two passes: [N, D, M] -> [N, D, D]. */
export function covariance(rows: Tensor): Tensor {
  const centered = sub(rows, mean(rows, { axes: [2] }));
  return mul(matmul(centered, swapLast(centered)), 1 / rows.size(2));
}

/**
 * Second-order statistics of M positions over d channels, [N, d, M] -> [N, M, M]:
 * G[a, b] = sum_c P[c, a] P[c, b] / M - sum_c P[c, a] sum_c P[c, b] / M^2, the covariance where d = M. Written as d/M times the
 * covariance plus the part of the means that its constants leave over, so that nothing large is subtracted.
 */
export function positionStatistics(p: Tensor): Tensor {
  const positions = swapLast(p); // [N, M, d]
  const center = mean(positions, { axes: [2] }); // [N, M, 1]
  const ratio = p.size(1) / p.size(2);
  const uncentered = mul(mul(center, swapLast(center)), 1 - ratio); // [N, M, M]
  return mul(add(covariance(positions), uncentered), ratio);
}

/** 1x1 convolution with bias; weights start normal with deviation sqrt(2 / fanOut), the bias as in PyTorch. */
export function fanOutConv(options: {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly stride?: number;
}): Conv2d {
  return new Conv2d({
    ...options,
    kernel: 1,
    initializer: kaimingNormal(options.outChannels),
    biasInitializer: defaultInitializer(options.inChannels),
  });
}

/**
 * Row-wise convolution of a square matrix: each row has four filters of its own, over its whole length; the channels are those of a
 * grouped convolution with a kernel [R, 1]. Computed as one product per row over all samples, whose gradients are products too: the
 * gradients of the grouped convolution are many times slower.
 */
export class RowConv extends Module {
  readonly weight: Variable;
  readonly bias: Variable;

  constructor({ rows }: { readonly rows: number }) {
    super();
    this.weight = parameter([4 * rows, 1, rows, 1], kaimingNormal(4 * rows * rows));
    this.bias = parameter([4 * rows], defaultInitializer(rows));
  }

  /** @param matrix [N, R, R]  @returns [N, 4R, 1, 1], the four values of the first row first */
  forward(matrix: Tensor): Tensor {
    const rows = this.weight.shape[2]!;
    const byRow = transpose(matrix, { perm: [1, 0, 2] }); // [R, N, R]
    const filters = swapLast(reshape(this.weight, { shape: [rows, 4, rows] })); // [R, R, 4]
    const responses = transpose(matmul(byRow, filters), { perm: [1, 0, 2] }); // [N, R, 4]
    const flat = reshape(responses, { shape: [-1, 4 * rows, 1, 1] });
    return add(flat, perChannel(this.bias, 4));
  }
}
