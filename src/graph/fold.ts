import type { Tensor } from "./tensor.js";
import { withScope } from "./trace.js";

/**
 * Visits everything that `roots` depend on, operands first: leaves, and each distinct operator call once. Composites are expanded, and
 * calls of equal operator, attributes and operands are merged. Does not recurse: graphs are thousands of nodes deep.
 * @param values results by tensor, which names what has one already; the results of everything visited are added
 * @param visit gives the result of a leaf or call from those of its operands; equal results mean equal values
 */
export function foldCalls<V extends string | number>(
  roots: Iterable<Tensor>,
  values: Map<Tensor, V>,
  visit: (tensor: Tensor, operands: readonly V[]) => V,
): void {
  const expansions = new Map<Tensor, Tensor>();
  const merged = new Map<string, V>();
  const pending = [...roots];
  for (let tensor = pending.at(-1); tensor; tensor = pending.at(-1)) {
    if (values.has(tensor)) {
      pending.pop();
      continue;
    }
    const expansion = expansionOf(tensor, expansions);
    const needed = expansion ? [expansion] : tensor.inputs;
    const open = needed.filter((other) => !values.has(other));
    if (open.length > 0) {
      // Reversed, so that the first operand is visited first.
      pending.push(...open.reverse());
      continue;
    }
    pending.pop();
    const operands = needed.map((operand) => values.get(operand)!);
    values.set(tensor, expansion ? operands[0]! : visitOnce(tensor, operands));
  }

  function visitOnce(tensor: Tensor, operands: readonly V[]): V {
    if (operands.length === 0) return visit(tensor, operands);
    const key = JSON.stringify([tensor.op.opName, tensor.attributes, operands], distinct);
    const known = merged.get(key);
    if (known !== undefined) return known;
    const value = visit(tensor, operands);
    merged.set(key, value);
    return value;
  }
}

function expansionOf(tensor: Tensor, expansions: Map<Tensor, Tensor>): Tensor | undefined {
  const { expand } = tensor.op.definition;
  if (!expand) return undefined;
  const known =
    expansions.get(tensor) ?? withScope(tensor.scope, () => expand(tensor.inputs, tensor.attributes));
  expansions.set(tensor, known);
  return known;
}

/** Keeps infinities apart, which JSON writes as null. */
function distinct(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}
