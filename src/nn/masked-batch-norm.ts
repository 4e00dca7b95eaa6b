import type { Tensor } from "../graph/tensor.js";
import { add, div, maximum, mul, sqrt, square, sub } from "../ops/arithmetic.js";
import { cast, where } from "../ops/compare.js";
import { perChannel } from "../ops/normalize.js";
import { sum } from "../ops/reduce.js";
import { BatchNorm } from "./batch-norm.js";

/**
 * Batch normalization whose statistics count marked positions only (occupied voxels, unpadded tokens), pooled over the batch.
 * Without a mask, and in evaluation, it is ordinary batch normalization.
 */
export class MaskedBatchNorm extends BatchNorm {
  /**
   * @param x [N, C, ...]  @param mask [N, 1, ...] bool, true where x counts  @returns [N, C, ...]; in training 0 * weight + bias
   * elsewhere
   */
  override forward(x: Tensor, mask?: Tensor): Tensor {
    if (!mask || !this.training) return super.forward(x);
    const axes = x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
    const count = sum(cast(mask, { to: "float32" }), { axes }); // [1, 1, ...]
    const mean = div(sum(where(mask, x, 0), { axes }), count); // [1, C, ...]
    const centered = where(mask, sub(x, mean), 0);
    const variance = div(sum(square(centered), { axes }), count);
    this.track(this.runningMean, mean, 1);
    // Of a single position the variance is 0, whatever the divisor.
    this.track(this.runningVar, mul(variance, div(count, maximum(sub(count, 1), 1))), 1);
    const normalized = div(centered, sqrt(add(variance, this.epsilon)));
    return add(mul(normalized, perChannel(this.weight, x.rank)), perChannel(this.bias, x.rank));
  }
}
