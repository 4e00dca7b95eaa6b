import { ShapeError } from "../base/errors.js";
import { formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { Initializer, Variable } from "../graph/variable.js";
import { add, mul } from "../ops/arithmetic.js";
import { batchMoments, batchNorm, batchNormTraining } from "../ops/normalize.js";
import { reshape } from "../ops/shape.js";
import { Module } from "./module.js";
import { buffer, constantValue, parameter, read, update } from "./variables.js";

/** Options of batch normalization. */
export interface BatchNormOptions {
  readonly channels: number;
  /** Added to the variance; 1e-5 by default. */
  readonly epsilon?: number;
  /** Share of the new value in the running statistics; 0.1 by default. */
  readonly momentum?: number;
  /** Initial weight; 1 by default. */
  readonly weightInitializer?: Initializer;
}

/**
 * Batch normalization over all axes but the channels, for inputs of any rank >= 2.
 * Ioffe, Szegedy: Batch Normalization, ICML 2015, arXiv:1502.03167. As in PyTorch the batch is normalized with the biased variance and
 * the unbiased one goes into the running variance.
 */
export class BatchNorm extends Module {
  readonly weight: Variable;
  readonly bias: Variable;
  readonly runningMean: Variable;
  readonly runningVar: Variable;
  protected readonly epsilon: number;
  readonly #momentum: number;

  constructor(options: BatchNormOptions) {
    super();
    const { channels, epsilon = 1e-5, momentum = 0.1, weightInitializer = constantValue(1) } = options;
    this.weight = parameter([channels], weightInitializer);
    this.bias = parameter([channels], constantValue(0));
    this.runningMean = buffer([channels], constantValue(0));
    this.runningVar = buffer([channels], constantValue(1));
    this.epsilon = epsilon;
    this.#momentum = momentum;
  }

  /**
   * @param x [N, C, ...]  @returns [N, C, ...]
   * @throws ShapeError in training where a channel has a single value
   */
  forward(x: Tensor): Tensor {
    const { epsilon } = this;
    if (!this.training) {
      return batchNorm(x, this.weight, this.bias, this.runningMean, this.runningVar, { epsilon });
    }
    const count = x.shape.reduce<number>((total, _, axis) => (axis === 1 ? total : total * x.size(axis)), 1);
    if (count < 2) {
      throw new ShapeError(
        `batch statistics need more than one value per channel, found ${formatShape(x.shape)}`,
      );
    }
    const moments = batchMoments(x);
    this.track(this.runningMean, moments.mean, 1);
    this.track(this.runningVar, moments.variance, count / (count - 1));
    return batchNormTraining(x, this.weight, this.bias, { epsilon });
  }

  /** Moves a running statistic towards `scale` times that of the batch. */
  protected track(running: Variable, batch: Tensor, scale: number): void {
    const fresh = mul(reshape(batch, { shape: [-1] }), this.#momentum * scale);
    update(running, add(mul(read(running), 1 - this.#momentum), fresh));
  }
}
