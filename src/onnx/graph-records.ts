import type { DType } from "../base/dtype.js";
import type { OnnxAttribute } from "../graph/emitter.js";

/** A size of an input or output: a number, or the name of a symbolic size. */
export type OnnxSize = number | string;

/** A node of a graph; as it is built unless told. */
export interface NodeRecord<Attribute = OnnxAttribute | { readonly graph: BranchRecord }> {
  readonly name: string;
  readonly opType: string;
  /** Empty for the default domain. */
  readonly domain: string;
  /** Names of values; empty for an optional input that is left out. */
  readonly inputs: readonly string[];
  /** Names of values; empty for an optional output that is left out. */
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A graph inside of a node. It reads the values of the graph around it. */
export interface BranchRecord {
  readonly name: string;
  readonly nodes: readonly NodeRecord[];
  readonly outputs: readonly ValueRecord[];
}

/** An input or output. */
export interface ValueRecord {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly OnnxSize[];
}

/** An output and the value that it is made of. */
export interface OutputRecord extends ValueRecord {
  readonly value: string;
}

/** The nodes that values depend on, in their order. Nodes stand after those that they depend on. */
export function needed(nodes: readonly NodeRecord[], values: Iterable<string>): NodeRecord[] {
  const wanted = new Set(values);
  const found = nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((output) => wanted.has(output))) return false;
    for (const input of inputs) wanted.add(input);
    return true;
  });
  return found.reverse();
}

/** A node that gives a value another name. */
export function identity(output: string, value: string): NodeRecord {
  const node = { opType: "Identity", domain: "", inputs: [value], outputs: [output], attributes: {} };
  return { name: `${output}/Identity`, ...node };
}
