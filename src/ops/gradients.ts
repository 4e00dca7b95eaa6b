import { FoveaError, ShapeError } from "../base/errors.js";
import { ancestors } from "../graph/ancestors.js";
import { constant } from "../graph/constant.js";
import { formatShape, isConcrete } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { withScope, withTrace } from "../graph/trace.js";
import { add } from "./arithmetic.js";
import { expandTo, sumTo } from "./reduce.js";

/** Options of `gradients`. */
export interface GradientOptions {
  /** Gradient of the loss with respect to `output`; 1 for a scalar output by default. */
  readonly cotangent?: Tensor;
}

/**
 * Gradients of an output with respect to tensors of its graph, as more graph: reverse-mode differentiation in the same operators.
 * They can be differentiated again.
 * @param output a scalar, or any tensor together with its cotangent
 * @returns one tensor per entry of `wrt`, of its shape; zeros where the output does not depend on it
 * @throws ShapeError for an output that is no scalar and has no cotangent, a cotangent that does not fit, or a symbolic batch
 * @throws FoveaError for an operator on the way that has no gradient
 */
export function gradients(output: Tensor, wrt: readonly Tensor[], options: GradientOptions = {}): Tensor[] {
  return gradientsOfMany([{ output, ...options }], wrt);
}

/** Gradients of the sum over outputs of cotangent * output. */
export function gradientsOfMany(
  roots: readonly { output: Tensor; cotangent?: Tensor }[],
  wrt: readonly Tensor[],
): Tensor[] {
  // Outside of the trace, so that rules see the variables as the forward pass read them, not as it left them.
  return withTrace(undefined, () => backward(roots, wrt));
}

function backward(
  roots: readonly { output: Tensor; cotangent?: Tensor }[],
  wrt: readonly Tensor[],
): Tensor[] {
  const order = dependents(
    roots.map((root) => root.output),
    wrt,
  );
  const cotangents = new Map<Tensor, Tensor>();
  const accumulate = (tensor: Tensor, part: Tensor) => {
    const sofar = cotangents.get(tensor);
    cotangents.set(tensor, sofar ? add(sofar, part) : part);
  };
  for (const { output, cotangent } of roots) {
    if (!cotangent && output.rank > 0) {
      throw new ShapeError(
        `gradients: output must be a scalar or have a cotangent, found ${formatShape(output.shape)}`,
      );
    }
    accumulate(output, cotangent ? expandTo(cotangent, output.shape) : constant(1));
  }
  const targets = new Set(wrt);
  for (const tensor of [...order].reverse()) {
    const cotangent = cotangents.get(tensor);
    if (!cotangent) continue;
    withScope(tensor.scope, () => backpropagate(tensor, cotangent, order, accumulate));
    if (!targets.has(tensor)) cotangents.delete(tensor);
  }
  return wrt.map((tensor) => {
    if (!isConcrete(tensor.shape)) {
      throw new ShapeError(`gradients need a concrete batch, found ${formatShape(tensor.shape)}`);
    }
    return expandTo(cotangents.get(tensor) ?? constant(0), tensor.shape);
  });
}

/** Tensors on a path from `wrt` to the outputs, inputs first. */
function dependents(outputs: readonly Tensor[], wrt: readonly Tensor[]): Set<Tensor> {
  const reached = ancestors(outputs);
  const depends = new Set<Tensor>(wrt.filter((tensor) => reached.has(tensor)));
  // Ids grow from inputs to results, so one pass in their order sees inputs first.
  const ordered = [...reached].sort((a, b) => a.id - b.id);
  for (const tensor of ordered) {
    if (tensor.inputs.some((input) => depends.has(input))) depends.add(tensor);
  }
  return new Set(ordered.filter((tensor) => depends.has(tensor)));
}

function backpropagate(
  tensor: Tensor,
  cotangent: Tensor,
  order: ReadonlySet<Tensor>,
  accumulate: (tensor: Tensor, part: Tensor) => void,
): void {
  const { definition, opName } = tensor.op;
  if (!tensor.inputs.some((input) => order.has(input) && input.dtype === "float32")) return;
  if (tensor.dtype !== "float32") return;
  if (!definition.gradient)
    throw new FoveaError(`${opName} has no gradient${tensor.scope && ` (in ${tensor.scope})`}`);
  const rules = definition.gradient({
    inputs: tensor.inputs,
    attributes: tensor.attributes,
    output: tensor,
    cotangent: definition.elementwise ? cotangent : expandTo(cotangent, tensor.shape),
  });
  tensor.inputs.forEach((input, index) => {
    const rule = rules[index];
    if (!rule || !order.has(input)) return;
    const full = rule();
    // Only the rules of elementwise operators leave axes to be stretched.
    const from = definition.elementwise ? tensor.shape : full.shape;
    const part = definition.broadcasts ? sumTo(full, from, input.shape) : full;
    const fits = part.shape.every((size, axis) => size === 1 || size === input.shape[axis]);
    if (part.rank !== input.rank || !fits) {
      const shapes = `${formatShape(part.shape)} for an input of ${formatShape(input.shape)}`;
      throw new ShapeError(`gradient rule of ${opName} gives ${shapes}`);
    }
    accumulate(input, part);
  });
}
