import { FoveaError, ShapeError } from "../base/errors.js";
import { ancestors } from "../graph/ancestors.js";
import {
  isActivation,
  type Region,
  regionBehind,
  regionCalls,
  regionOf,
  repeatRegion,
} from "../graph/checkpoint.js";
import { constant } from "../graph/constant.js";
import { formatShape, isConcrete } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { withScope, withTrace } from "../graph/trace.js";
import { sub } from "./arithmetic.js";
import { cast, greater } from "./compare.js";
import { Cotangents } from "./cotangents.js";
import { expandTo, sum, sumTo } from "./reduce.js";
import { concat, reshape, slice } from "./shape.js";

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
  return withTrace(undefined, () => {
    const seeded = roots.map(({ output, cotangent }) => ({ output, cotangent: cotangent ?? unit(output) }));
    const cotangents = backward(seeded, wrt);
    return wrt.map((tensor, index) => {
      if (!isConcrete(tensor.shape)) {
        throw new ShapeError(`gradients need a concrete batch, found ${formatShape(tensor.shape)}`);
      }
      return expandTo(cotangents[index] ?? constant(0), tensor.shape);
    });
  });
}

function unit(output: Tensor): Tensor {
  if (output.rank === 0) return constant(1);
  throw new ShapeError(
    `gradients: output must be a scalar or have a cotangent, found ${formatShape(output.shape)}`,
  );
}

type Accumulate = (tensor: Tensor, part: Tensor) => void;

/**
 * Cotangents of `wrt`, undefined where the roots do not depend on it; their axes may still be to be stretched.
 * @param leaves what is not looked behind
 */
function backward(
  roots: readonly { output: Tensor; cotangent: Tensor }[],
  wrt: readonly Tensor[],
  leaves: ReadonlySet<Tensor> = new Set(),
): (Tensor | undefined)[] {
  const order = dependents(
    roots.map((root) => root.output),
    wrt,
    leaves,
  );
  const cotangents = new Cotangents();
  const accumulate: Accumulate = (tensor, part) => cotangents.add(tensor, part);
  for (const { output, cotangent } of roots) accumulate(output, expandTo(cotangent, output.shape));
  const targets = new Set(wrt);
  const checkpoints = new Checkpoints(order, targets);
  const operandOf = recomputed(order);
  for (const tensor of [...order].reverse()) {
    const cotangent = cotangents.get(tensor);
    if (cotangent && !targets.has(tensor)) cotangents.delete(tensor);
    if (leaves.has(tensor)) continue;
    if (regionOf(tensor) !== undefined) checkpoints.visit(tensor, cotangent, accumulate);
    else if (cotangent) {
      withScope(tensor.scope, () => backpropagate(tensor, cotangent, { order, operandOf, accumulate }));
    }
  }
  return wrt.map((tensor) => cotangents.get(tensor));
}

/** Tensors on a path from `wrt` to the outputs, inputs first; behind `leaves` nothing is looked for. */
function dependents(
  outputs: readonly Tensor[],
  wrt: readonly Tensor[],
  leaves: ReadonlySet<Tensor>,
): Set<Tensor> {
  const reached = ancestors(outputs, leaves);
  const depends = new Set<Tensor>(wrt.filter((tensor) => reached.has(tensor)));
  // Ids grow from inputs to results, so one pass in their order sees inputs first.
  const ordered = [...reached].sort((a, b) => a.id - b.id);
  for (const tensor of ordered) {
    if (!leaves.has(tensor) && tensor.inputs.some((input) => depends.has(input))) depends.add(tensor);
  }
  return new Set(ordered.filter((tensor) => depends.has(tensor)));
}

/** The regions of a backward pass whose intermediates are computed again. */
class Checkpoints {
  readonly #order: ReadonlySet<Tensor>;
  readonly #targets: ReadonlySet<Tensor>;
  /** The result of each region that is visited last. */
  readonly #last = new Map<number, Tensor>();
  readonly #cotangents = new Map<number, { marked: Tensor; cotangent: Tensor }[]>();
  /** What the region before has given. */
  #finished: readonly Tensor[] = [];

  constructor(order: ReadonlySet<Tensor>, targets: ReadonlySet<Tensor>) {
    this.#order = order;
    this.#targets = targets;
    for (const tensor of order) {
      const region = regionOf(tensor);
      if (region !== undefined && !this.#last.has(region)) this.#last.set(region, tensor);
    }
  }

  /** Takes the cotangent of a region's result; with the last one the gradients of the region's boundary are built. */
  visit(marked: Tensor, cotangent: Tensor | undefined, accumulate: Accumulate): void {
    const region = regionOf(marked)!;
    const known = this.#cotangents.get(region) ?? [];
    this.#cotangents.set(region, known);
    if (cotangent) known.push({ marked, cotangent });
    if (this.#last.get(region) !== marked || known.length === 0) return;
    const inside = regionBehind(known.map((entry) => entry.marked));
    if (regionCalls(inside).some((call) => this.#targets.has(call))) {
      // Gradients of what lies inside belong to the first pass.
      for (const [index, result] of inside.results.entries()) accumulate(result, known[index]!.cotangent);
      return;
    }
    withScope(marked.scope, () => this.#repeat(inside, known, accumulate));
  }

  #repeat(inside: Region, known: readonly { cotangent: Tensor }[], accumulate: Accumulate): void {
    // Waits for the gradients of the region before as well: nothing else reads those of its parameters until the update of the weights,
    // and ONNX Runtime would put them off so long, and with them the intermediates of every region.
    const release = zeroAfter([...known.map(({ cotangent }) => cotangent), ...this.#finished]);
    const replaced = new Map(
      [...inside.boundary]
        .filter((tensor) => tensor.dtype === "float32" && isActivation(tensor))
        .map((tensor) => [tensor, sub(tensor, release)]),
    );
    const boundary = [...inside.boundary].filter((tensor) => this.#order.has(tensor));
    const leaves = [...inside.boundary].map((tensor) => replaced.get(tensor) ?? tensor);
    const wrt = boundary.map((tensor) => replaced.get(tensor) ?? tensor);
    const roots = repeatRegion(inside, replaced).map((output, index) => ({ output, ...known[index]! }));
    const parts = backward(roots, wrt, new Set(leaves));
    for (const [index, part] of parts.entries()) if (part) accumulate(boundary[index]!, part);
    this.#finished = parts.filter((part) => part !== undefined);
  }
}

/**
 * A scalar 0 that is known only when the tensors are. What is computed from operands less this 0 (all bits of which stay, the sign of
 * zero too) can neither be merged with what was computed from the operands themselves, nor take place earlier.
 */
function zeroAfter(tensors: readonly Tensor[]): Tensor {
  const firsts = tensors.map((tensor) =>
    slice(reshape(tensor, { shape: [-1] }), { axes: [0], starts: [0], ends: [1] }),
  );
  const first = sum(concat(firsts, { axis: 0 }), { keepDims: false });
  // Also for values that are no numbers: nothing exceeds itself.
  return cast(greater(first, first), { to: "float32" });
}

/** What gradient rules read in place of an operand: the same computed again, where that is cheap and its own operands are kept. */
function recomputed(order: ReadonlySet<Tensor>): (tensor: Tensor) => Tensor {
  const known = new Map<Tensor, Tensor>();
  const operandOf = (tensor: Tensor): Tensor => {
    const { again } = tensor.op.definition;
    if (!again || !tensor.inputs.every((input) => order.has(input))) return tensor;
    const copy = known.get(tensor) ?? withScope(tensor.scope, () => again(tensor.inputs.map(operandOf)));
    known.set(tensor, copy);
    return copy;
  };
  return operandOf;
}

function backpropagate(
  tensor: Tensor,
  cotangent: Tensor,
  pass: { order: ReadonlySet<Tensor>; operandOf: (tensor: Tensor) => Tensor; accumulate: Accumulate },
): void {
  const { order, operandOf, accumulate } = pass;
  const { definition, opName } = tensor.op;
  if (!tensor.inputs.some((input) => order.has(input) && input.dtype === "float32")) return;
  if (tensor.dtype !== "float32") return;
  if (!definition.gradient)
    throw new FoveaError(`${opName} has no gradient${tensor.scope && ` (in ${tensor.scope})`}`);
  const rules = definition.gradient({
    // Composites share what they expand to with the forward pass, which is kept.
    inputs: definition.expand ? tensor.inputs : tensor.inputs.map(operandOf),
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
