import { defineOp, type Op } from "../graph/operator.js";
import { normalizeAxis } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { floatLike, mul, sub } from "./arithmetic.js";
import { greater, where } from "./compare.js";
import { softmax } from "./normalize.js";
import { max, sum } from "./reduce.js";

const lowestFinite = -3.4028234663852886e38;

/** Softmax along an axis of scores of which -infinity means hidden: a row that is hidden as a whole gets weights 0 and gradient 0. */
export const maskedSoftmax: Op<[scores: Tensor], { axis: number }> = defineOp("maskedSoftmax", {
  normalize: ({ axis }, [x]) => ({ axis: normalizeAxis(axis, x.rank) }),
  type: floatLike,
  // Softmax gives NaN for a row that is hidden as a whole; `where` selects and does not compute with it.
  expand: ([x], { axis }) => {
    const isHidden = greater(lowestFinite, max(x, { axes: [axis] }));
    return where(isHidden, 0, softmax(x, { axis }));
  },
  gradient: ({ attributes: { axis }, output: y, cotangent: dy }) => [
    () => mul(y, sub(dy, sum(mul(dy, y), { axes: [axis] }))),
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { axis: -1 } },
    { inputs: [[2, 3, 4]], attributes: { axis: 1 } },
  ],
});
