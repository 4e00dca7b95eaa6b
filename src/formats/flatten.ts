import type { FormatError } from "../base/errors.js";
import { quote } from "../base/quote.js";
import { kindOf, type PickleKey, PickleObject, type PickleValue } from "./pickle.js";
import { TorchDType, TorchTensor } from "./torch-objects.js";

/** A value that is no tensor and has no parts; a dtype is its name. */
export type CheckpointValue = null | boolean | number | bigint | string | Uint8Array;

/** The leaves of nested containers by path, in the file's order. */
export interface Leaves {
  readonly tensors: Map<string, TorchTensor>;
  readonly values: Map<string, CheckpointValue>;
}

/** Containers and leaves that are visited: what small pickles say by referring to a part many times is bounded. */
const maxVisits = 2 ** 18;
const maxPathCharacters = 2 ** 24;
const maxDepth = 64;

/**
 * Lists the leaves of a pickled object. A path is the keys and indices from the object to the leaf, joined by dots: text
 * as it is, numbers in decimal, `None`, `True` and `False` as in Python; the object itself has the empty path. Empty
 * containers have no leaves.
 * @param path where `value` itself is
 * @param skip a key of `value` that is left out
 * @throws FormatError made by `fault` where two leaves have one path, or nesting or number of the leaves is hostile
 */
export function leavesOf(
  value: PickleValue,
  fault: (problem: string) => FormatError,
  path = "",
  skip?: string,
): Leaves {
  const leaves: Leaves = { tensors: new Map(), values: new Map() };
  let visits = 0;
  let characters = 0;
  const add = <T>(to: Map<string, T>, at: string, leaf: T) => {
    if (leaves.tensors.has(at) || leaves.values.has(at)) throw fault(`two values at ${quote(at)}`);
    to.set(at, leaf);
  };
  const visit = (part: PickleValue, at: string, depth: number): void => {
    characters += at.length;
    if (++visits > maxVisits) throw fault(`more than ${maxVisits} values and containers`);
    if (characters > maxPathCharacters)
      throw fault(`paths of more than ${maxPathCharacters} characters in all`);
    if (depth > maxDepth) throw fault(`nesting deeper than ${maxDepth}, or a container inside itself`);
    const inside = (key: PickleKey) => (at === "" && depth === 0 ? keyText(key) : `${at}.${keyText(key)}`);
    if (part instanceof TorchTensor) add(leaves.tensors, at, part);
    else if (part instanceof Map) {
      for (const [key, item] of part) {
        if (depth > 0 || skip === undefined || key !== skip) visit(item, inside(key), depth + 1);
      }
    } else if (Array.isArray(part)) {
      (part as readonly PickleValue[]).forEach((item, index) => {
        visit(item, inside(index), depth + 1);
      });
    } else if (part instanceof TorchDType) add(leaves.values, at, `torch.${part.dtype}`);
    else if (part instanceof PickleObject) throw fault(`${kindOf(part)} at ${quote(at)}`);
    else add(leaves.values, at, part as CheckpointValue);
  };
  visit(value, path, 0);
  return leaves;
}

function keyText(key: PickleKey): string {
  if (key === null) return "None";
  if (typeof key === "boolean") return key ? "True" : "False";
  return String(key);
}
