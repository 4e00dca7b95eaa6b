import type { Tensor } from "../graph/tensor.js";
import { div } from "../ops/arithmetic.js";
import { greater, where } from "../ops/compare.js";

/** Below it a divisor counts as 0: the square of a smaller one leaves float32. */
const least = 1e-12;

/** a / b, and 0 where b is (almost) 0, with finite gradients. */
export function ratio(a: Tensor, b: Tensor): Tensor {
  const divides = greater(b, least);
  return div(where(divides, a, 0), where(divides, b, 1));
}
