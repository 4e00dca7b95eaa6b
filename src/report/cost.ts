import { FoveaError } from "../base/errors.js";
import { foldCalls } from "../graph/fold.js";
import { withHostCalls } from "../graph/host-call.js";
import { leafKey } from "../graph/leaf.js";
import { pathsTo } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";

/** What a group of operator calls costs. */
export interface Cost {
  readonly calls: number;
  /** Multiply-accumulates of products and convolutions. */
  readonly macs: number;
}

/** What a graph costs: in all, by operator, and by module path with what lies below it (the root under the empty path). */
export interface GraphCost extends Cost {
  readonly byOperator: ReadonlyMap<string, Cost>;
  readonly byModule: ReadonlyMap<string, Cost>;
}

/**
 * Cost of computing tensors, of a graph with a concrete batch. As in an emitted model, composites count as what they expand to, and
 * equal calls once; what host calls take counts too.
 * @throws FoveaError for an operator without a cost rule; ShapeError for a symbolic batch
 */
export function graphCost(outputs: Iterable<Tensor>): GraphCost {
  const byOperator = new Map<string, Cost>();
  const byModule = new Map<string, Cost>([["", { calls: 0, macs: 0 }]]);
  foldCalls<string>(withHostCalls(outputs), new Map(), (tensor) => {
    if (tensor.inputs.length === 0) return leafKey(tensor);
    const macs = macsOf(tensor);
    increase(byOperator, tensor.op.opName, macs);
    for (const path of pathsTo(tensor.scope)) increase(byModule, path, macs);
    return String(tensor.id);
  });
  return { ...byModule.get("")!, byOperator, byModule };
}

function macsOf(tensor: Tensor): number {
  const { op, inputs, attributes } = tensor;
  const rule: unknown = op.definition.macs;
  const macs = typeof rule === "function" ? rule({ inputs, attributes, output: tensor }) : rule;
  if (typeof macs !== "number" || !(macs >= 0)) {
    throw new FoveaError(
      `operator ${op.opName} has no cost rule (macs)${tensor.scope && ` (in ${tensor.scope})`}`,
    );
  }
  return macs;
}

function increase(costs: Map<string, Cost>, key: string, macs: number): void {
  const { calls, macs: sofar } = costs.get(key) ?? { calls: 0, macs: 0 };
  costs.set(key, { calls: calls + 1, macs: sofar + macs });
}
