import type { Tensor } from "../graph/tensor.js";
import type { Variable } from "../graph/variable.js";
import { add } from "../ops/arithmetic.js";
import { convTranspose } from "../ops/conv.js";
import { perChannel } from "../ops/normalize.js";
import { Module } from "./module.js";
import { defaultInitializer, parameter } from "./variables.js";

/** Options of a transposed convolution layer. */
export interface ConvTranspose2dOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Height and width of the kernel. */
  readonly kernel: number;
  /** By how much the image grows; 1 by default. */
  readonly stride?: number;
  /** Rows and columns that are cut off on each side; 0 by default. */
  readonly padding?: number;
}

/** 2-D transposed convolution layer with bias, initialized as in PyTorch: uniform in ±1/sqrt(outChannels kernel^2). */
export class ConvTranspose2d extends Module {
  readonly weight: Variable;
  readonly bias: Variable;
  readonly #stride: number;
  readonly #padding: number;

  constructor({ inChannels, outChannels, kernel, stride = 1, padding = 0 }: ConvTranspose2dOptions) {
    super();
    const initializer = defaultInitializer(outChannels * kernel * kernel);
    this.weight = parameter([inChannels, outChannels, kernel, kernel], initializer);
    this.bias = parameter([outChannels], initializer);
    this.#stride = stride;
    this.#padding = padding;
  }

  /** @param x [N, inChannels, H, W]  @returns [N, outChannels, (H - 1) stride - 2 padding + kernel, ...] */
  forward(x: Tensor): Tensor {
    const [stride, padding] = [this.#stride, this.#padding];
    const outputSize = [2, 3].map(
      (axis) => (x.size(axis) - 1) * stride - 2 * padding + this.weight.size(axis),
    );
    const y = convTranspose(x, this.weight, { stride, padding, outputSize });
    return add(y, perChannel(this.bias, 4));
  }
}
