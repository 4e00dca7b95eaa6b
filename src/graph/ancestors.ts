import type { Tensor } from "./tensor.js";

const none: ReadonlySet<Tensor> = new Set();

/**
 * Every tensor that the roots depend on, themselves included. Does not recurse: graphs are thousands of nodes deep.
 * @param leaves tensors whose operands are not looked for
 */
export function ancestors(roots: Iterable<Tensor>, leaves: ReadonlySet<Tensor> = none): ReadonlySet<Tensor> {
  const reached = new Set<Tensor>();
  const pending = [...roots];
  for (let tensor = pending.pop(); tensor; tensor = pending.pop()) {
    if (reached.has(tensor)) continue;
    reached.add(tensor);
    if (!leaves.has(tensor)) pending.push(...tensor.inputs);
  }
  return reached;
}
