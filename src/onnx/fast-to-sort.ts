/** What an order of nodes is made from. */
interface Reader {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * The nodes with those first that depend on one input of the model or none, such as another layout of a weight or its decay.
 *
 * ONNX Runtime sorts a graph anew for each of its rewritings, and keeps the nodes that could come next in a linked list, lowest position
 * first, which it walks for every node. A training step has a thousand nodes on weights alone; at their places they stay in the list.
 * When they run does not depend on it: that is a walk from the outputs, which takes the operand with the highest position first, so that
 * these come right before their reader.
 */
export function fastToSort<N extends Reader>(nodes: readonly N[], inputs: Iterable<string>): N[] {
  /** By value: the only input that it depends on; undefined for several. Constants are not in it. */
  const sources = new Map<string, string | undefined>([...inputs].map((name) => [name, name]));
  const early: N[] = [];
  const others: N[] = [];
  for (const node of nodes) {
    const read = new Set(node.inputs.filter((name) => sources.has(name)).map((name) => sources.get(name)));
    const source = read.size === 1 ? [...read][0] : undefined;
    const isEarly = read.size === 0 || source !== undefined;
    (isEarly ? early : others).push(node);
    if (read.size > 0) for (const name of node.outputs) sources.set(name, source);
  }
  return [...early, ...others];
}
