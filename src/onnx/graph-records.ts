import type { DType } from "../base/dtype.js";
import type { OnnxAttribute } from "../graph/emitter.js";

/** A size of an input or output: a number, or the name of a symbolic size. */
export type OnnxSize = number | string;

/** A node of a graph that is being built. */
export interface NodeRecord {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute | { readonly graph: BranchRecord }>>;
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
