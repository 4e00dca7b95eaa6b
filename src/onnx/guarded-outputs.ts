import { identity, type NodeRecord, needed, type OutputRecord } from "./graph-records.js";

/** A condition under which outputs get new values. */
export interface Guard {
  /** Name of a value: one bool. */
  readonly condition: string;
  /** By output: the value that it has where the condition does not hold. */
  readonly otherwise: ReadonlyMap<string, string>;
}

/**
 * A graph whose outputs leave it through an If node. What nothing but the guarded outputs needs is one branch of it; the other outputs
 * pass through. So all that is not in the branch is computed before the branch begins, whatever the order of the nodes: guarded outputs
 * may be written where inputs lie that the rest reads.
 * @param names of the node's outputs
 */
export function withGuard(
  { nodes, outputs }: { readonly nodes: readonly NodeRecord[]; readonly outputs: readonly OutputRecord[] },
  { condition, otherwise }: Guard,
  names: readonly string[],
): { nodes: readonly NodeRecord[]; outputs: readonly OutputRecord[] } {
  const passed = outputs.filter(({ name }) => !otherwise.has(name)).map(({ value }) => value);
  const before = new Set(needed(nodes, [condition, ...otherwise.values(), ...passed]));
  const guarded = nodes.filter((node) => !before.has(node));
  const branch = (name: string, inner: readonly NodeRecord[], values: readonly string[]) => {
    // A value that the branch makes is an output under its own name, once.
    const made = new Set(inner.flatMap((node) => node.outputs));
    const copies: NodeRecord[] = [];
    const results = values.map((value, index) => {
      if (made.delete(value)) return { ...outputs[index]!, name: value };
      const copy = identity(`${names[index]}/${name}`, value);
      copies.push(copy);
      return { ...outputs[index]!, name: copy.outputs[0]! };
    });
    return { graph: { name, nodes: [...inner, ...copies], outputs: results } };
  };
  const values = outputs.map(({ value }) => value);
  const kept = outputs.map(({ name, value }) => otherwise.get(name) ?? value);
  const choice: NodeRecord = {
    name: names[0]!,
    opType: "If",
    domain: "",
    inputs: [condition],
    outputs: names,
    attributes: { then_branch: branch("then", guarded, values), else_branch: branch("else", [], kept) },
  };
  return {
    nodes: [...nodes.filter((node) => before.has(node)), choice],
    outputs: outputs.map((output, index) => ({ ...output, value: names[index]! })),
  };
}
