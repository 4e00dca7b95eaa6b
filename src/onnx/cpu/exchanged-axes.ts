import type { Emitter } from "../../graph/emitter.js";
import type { NamedOperands } from "../../ops/cpu-forms.js";
import { transposeNode } from "../../ops/nodes.js";
import { transposeInSteps } from "./transpose-steps.js";

/** Kind of a value's form with its last two axes exchanged. */
const exchanged = "exchanged";

/** Axes in another order; an exchange of the last two is noted, for products that read it. */
export function transposeForm(
  emit: Emitter,
  { names: [x], inputs: [input] }: NamedOperands,
  perm: readonly number[],
): string {
  const inSteps = transposeInSteps(emit, x!, input!.shape, perm);
  if (inSteps !== undefined) return inSteps;
  const result = transposeNode(emit, x!, perm);
  const isExchange = perm.every((axis, index) => axis === index || index >= perm.length - 2);
  if (isExchange) emit.addForm(result, exchanged, x!);
  return result;
}

/**
 * Matrices whose last two axes were exchanged are read as they were before. ONNX Runtime's own rewriting does so where nothing keeps it from
 * seeing the exchange, but joins the exchange with transpositions before it to one that is slow.
 */
export function productForm(emit: Emitter, { names }: NamedOperands): string {
  const plain = names.map((name) => emit.form(name, exchanged));
  if (plain.every((name) => name === undefined)) return emit.node("MatMul", names);
  const [transA, transB] = plain.map((name) => ({ int: name === undefined ? 0 : 1 }));
  const operands = names.map((name, index) => plain[index] ?? name);
  return emit.node("FusedMatMul", operands, { transA: transA!, transB: transB! }, "com.microsoft");
}
