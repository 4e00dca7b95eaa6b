import { ancestors } from "../graph/ancestors.js";
import { sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";

/** A tensor that is kept from step to step: what a step reads, and what the next one will. */
export interface Transition {
  readonly present: Tensor;
  readonly next: Tensor;
}

/**
 * Those of the named states whose next value can be written over the present one: it is computed element by element, and whatever else
 * reads the present value comes before.
 * @param before what is computed before the next values, whose readers do not matter
 */
export function overwritable(
  transitions: ReadonlyMap<string, Transition>,
  before: Iterable<Tensor>,
): Set<string> {
  const earlier = ancestors(before);
  const results = [...transitions.values()].map(({ next }) => next);
  const readers = new Map<Tensor, Tensor[]>();
  for (const tensor of ancestors(results, earlier)) {
    if (earlier.has(tensor)) continue;
    for (const input of tensor.inputs) {
      const known = readers.get(input);
      if (known) known.push(tensor);
      else readers.set(input, [tensor]);
    }
  }
  const fits = ({ present, next }: Transition) => {
    if (earlier.has(next) || !isElementwise(next)) return false;
    const needed = ancestors([next], earlier);
    return (readers.get(present) ?? []).every((reader) => needed.has(reader));
  };
  return new Set([...transitions].flatMap(([name, transition]) => (fits(transition) ? [name] : [])));
}

/** True for arithmetic on tensors of one shape and numbers. A choice between tensors goes over its result twice. */
function isElementwise({ op, inputs, shape, dtype }: Tensor): boolean {
  const aligned = inputs.every((input) => input.rank === 0 || sameShape(input.shape, shape));
  return op.definition.elementwise === true && aligned && inputs.every((input) => input.dtype === dtype);
}
