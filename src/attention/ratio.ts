import type { Tensor } from "../graph/tensor.js";
import { div } from "../ops/arithmetic.js";
import { greater, where } from "../ops/compare.js";

/** a / b, and 0 where b is not above 0, as a is where it is a part of b; with finite gradients. */
export function ratio(a: Tensor, b: Tensor): Tensor {
  return div(where(greater(b, 0), a, 0), where(greater(b, 0), b, 1));
}
