import type { Tensor } from "./tensor.js";

/** Every tensor that the roots depend on, themselves included. Does not recurse: graphs are thousands of nodes deep. */
export function ancestors(roots: Iterable<Tensor>): ReadonlySet<Tensor> {
  const reached = new Set<Tensor>();
  const pending = [...roots];
  for (let tensor = pending.pop(); tensor; tensor = pending.pop()) {
    if (reached.has(tensor)) continue;
    reached.add(tensor);
    pending.push(...tensor.inputs);
  }
  return reached;
}
