import { foldCalls } from "./fold.js";
import { leafKey } from "./leaf.js";
import { Tensor } from "./tensor.js";
import { withScope } from "./trace.js";

/** How often a tensor is read: by calls (those too that nothing reads any more), and as one of the results. */
export type Uses = (tensor: Tensor) => number;

/**
 * A rule of rewriting: what takes a call's place, of equal values and type, or undefined where it does not fit. Its operands are rewritten
 * already, primitive (composites are expanded), and equal calls are one tensor.
 */
export type RewriteRule = (call: Tensor, uses: Uses) => Tensor | undefined;

/**
 * Rebuilds what `roots` depend on, the rules applied to every call in turn, operands first.
 * @returns the roots in their order; the graph that they came from is as before
 */
export function rewrite(roots: readonly Tensor[], rules: readonly RewriteRule[]): Tensor[] {
  const { calls, results } = mergedCalls(roots);
  const counts = new Map<Tensor, number>();
  const count = (tensor: Tensor, change: number) => counts.set(tensor, uses(tensor) + change);
  const uses: Uses = (tensor) => counts.get(tensor) ?? 0;
  for (const tensor of [...calls.flatMap(({ inputs }) => inputs), ...results]) count(tensor, 1);
  /** Counts what a rule's new calls read. */
  const countNew = (tensor: Tensor) => {
    if (counts.has(tensor)) return;
    counts.set(tensor, 0);
    for (const operand of tensor.inputs) {
      countNew(operand);
      count(operand, 1);
    }
  };

  const rewritten = new Map<Tensor, Tensor>();
  for (const call of calls) {
    let tensor = withInputs(
      call,
      call.inputs.map((operand) => rewritten.get(operand) ?? operand),
    );
    counts.set(tensor, uses(call));
    for (const rule of rules) {
      const replacement = withScope(call.scope, () => rule(tensor, uses));
      if (!replacement) continue;
      countNew(replacement);
      count(replacement, uses(tensor));
      for (const operand of tensor.inputs) count(operand, -1);
      tensor = replacement;
    }
    rewritten.set(call, tensor);
  }
  return results.map((tensor) => rewritten.get(tensor) ?? tensor);
}

/** The graph without composites and without calls that are there twice: its calls, operands first, and what the roots have become. */
function mergedCalls(roots: readonly Tensor[]): { calls: Tensor[]; results: Tensor[] } {
  const calls: Tensor[] = [];
  const byNumber: Tensor[] = [];
  const numbers = new Map<string, number>();
  const values = new Map<Tensor, number>();
  const number = (tensor: Tensor) => byNumber.push(tensor) - 1;
  foldCalls<number>(roots, values, (tensor, operands) => {
    if (operands.length === 0) {
      const key = leafKey(tensor);
      const known = numbers.get(key) ?? number(tensor);
      numbers.set(key, known);
      return known;
    }
    const call = withInputs(
      tensor,
      operands.map((operand) => byNumber[operand]!),
    );
    calls.push(call);
    return number(call);
  });
  return { calls, results: roots.map((root) => byNumber[values.get(root)!]!) };
}

/** The same call with other operands of the same types. */
function withInputs(call: Tensor, inputs: readonly Tensor[]): Tensor {
  if (call.inputs.every((operand, index) => operand === inputs[index])) return call;
  const { op, attributes, shape, dtype, scope } = call;
  return new Tensor({ op, inputs, attributes, shape, dtype, scope });
}
