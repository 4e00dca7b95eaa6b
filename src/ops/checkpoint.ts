import { regionResults } from "../graph/checkpoint.js";
import { constant } from "../graph/constant.js";
import { Tensor } from "../graph/tensor.js";

/** One tensor, or several by position or by name. */
type Results = Tensor | readonly Tensor[] | Readonly<Record<string, Tensor>>;

/**
 * The same computation, of which the backward pass keeps nothing but what it is computed from: its intermediates are computed a second
 * time when their gradients are due. Costs its forward pass once more, and saves the memory of its intermediates.
 * Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174.
 *
 * Values and gradients are the same as without it. Taps and updated buffers inside come from the first pass alone; noise inside is
 * drawn once for both. Checkpoints may lie in each other. The gradient with respect to a tensor inside (a tap) is right too, but
 * makes the backward pass keep this computation's intermediates.
 * @param body may read other tensors than its arguments
 */
export function checkpoint<A extends readonly unknown[], R extends Results>(
  body: (...args: A) => R,
): (...args: A) => R {
  return (...args) => {
    // What is created from here on has a larger id.
    const { id: before } = constant(0);
    const isInside = (tensor: Tensor) => tensor.id > before;
    const results: Results = body(...args);
    const names = results instanceof Tensor ? [] : Object.keys(results);
    const tensors = results instanceof Tensor ? [results] : Object.values(results as Record<string, Tensor>);
    const computed = tensors.filter((tensor) => isInside(tensor) && tensor.inputs.length > 0);
    const marked = regionResults(computed, isInside);
    const replaced = tensors.map((tensor) => marked[computed.indexOf(tensor)] ?? tensor);
    if (results instanceof Tensor) return replaced[0] as unknown as R;
    if (Array.isArray(results)) return replaced as unknown as R;
    return Object.fromEntries(names.map((name, index) => [name, replaced[index]])) as R;
  };
}
