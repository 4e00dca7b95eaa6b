import { fillUniform } from "../../base/random.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Module } from "../../nn/module.js";
import { defaultInitializer, parameter } from "../../nn/variables.js";
import { add, mul, square, sub } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { sum } from "../../ops/reduce.js";
import { transpose } from "../../ops/shape.js";

/**
 * Encoding layer: residuals of the features to K learned codewords, softly assigned and summed over all positions.
 * Zhang et al.: Context Encoding for Semantic Segmentation, CVPR 2018, arXiv:1803.08904, section 3.1.
 * Written in products of features and codewords, so that no [N, P, K, C] comes up.
 */
export class Encoding extends Module {
  readonly codewords: Variable;
  /** Smoothing factor of each codeword; no minus sign goes with it, so it is normally negative. */
  readonly scale: Variable;

  constructor({ channels, numCodes }: { channels: number; numCodes: number }) {
    super();
    this.codewords = parameter([numCodes, channels], defaultInitializer(numCodes * channels));
    this.scale = parameter([numCodes], (out, { seed, path }) =>
      fillUniform(out, { seed, stream: path, step: 0 }, -1, 0),
    );
  }

  /** @param f [N, P, C]  @returns [N, K, C] */
  forward(f: Tensor): Tensor {
    const { codewords, scale } = this;
    const lengths = sum(square(codewords), { axes: [1], keepDims: false }); // [K]
    const products = matmul(f, transpose(codewords)); // [N, P, K]
    const distances = add(sub(sum(square(f), { axes: [2] }), mul(products, 2)), lengths); // squared
    const assignment = this.tap("assignment", softmax(mul(distances, scale), { axis: 2 })); // [N, P, K]
    const share = swapLast(sum(assignment, { axes: [1] })); // [N, K, 1]
    return sub(matmul(swapLast(assignment), f), mul(share, codewords));
  }
}
