import type { Operator } from "../../graph/operator.js";
import type { Tensor } from "../../graph/tensor.js";

/** The operands of a call of an operator that does not care for their order, in both; none of another operator's call. */
export function bothOrders(call: Tensor, op: Operator): readonly (readonly [Tensor, Tensor])[] {
  if (call.op !== op) return [];
  const [a, b] = call.inputs as [Tensor, Tensor];
  return [
    [a, b],
    [b, a],
  ];
}
