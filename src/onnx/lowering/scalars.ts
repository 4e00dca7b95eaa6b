import type { HostTensor } from "../../base/dtype.js";
import { constantOp } from "../../graph/leaf.js";
import type { Operator } from "../../graph/operator.js";
import type { Tensor } from "../../graph/tensor.js";
import { bothOrders } from "./both-orders.js";

/** The value of a constant number; undefined for everything else. */
function scalarValue({ op, rank, attributes }: Tensor): number | undefined {
  return op === constantOp && rank === 0 ? Number((attributes.value as HostTensor).data[0]) : undefined;
}

/** The tensor and the number of a call on both, in either order; undefined for everything else. */
export function withScalar(call: Tensor, op: Operator): { tensor: Tensor; scalar: number } | undefined {
  for (const [tensor, other] of bothOrders(call, op)) {
    const scalar = scalarValue(other);
    if (scalar !== undefined) return { tensor, scalar };
  }
  return undefined;
}
