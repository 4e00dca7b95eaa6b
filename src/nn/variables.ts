import { fillNormal, fillUniform } from "../base/random.js";
import type { Tensor } from "../graph/tensor.js";
import { requireTrace } from "../graph/trace.js";
import { type Initializer, Variable } from "../graph/variable.js";
import { reshape } from "../ops/shape.js";

/** Every value the same. */
export function constantValue(value: number): Initializer {
  return (out) => out.fill(value);
}

/** Uniform in [-bound, bound), drawn by seed and path. */
export function uniform(bound: number): Initializer {
  return (out, { seed, path }) => fillUniform(out, { seed, stream: path, step: 0 }, -bound, bound);
}

/** Normal with the given standard deviation and mean, drawn by seed and path. */
export function normal(deviation: number, mean = 0): Initializer {
  return (out, { seed, path }) => fillNormal(out, { seed, stream: path, step: 0 }, mean, deviation);
}

/**
 * Normal with deviation sqrt(2 / fan), fan of the inputs or outputs of a layer, which keeps the variance through ReLU.
 * He, Zhang, Ren, Sun: Delving Deep into Rectifiers, ICCV 2015, arXiv:1502.01852.
 */
export function kaimingNormal(fan: number): Initializer {
  return normal(Math.sqrt(2 / fan));
}

/** PyTorch's default for weights and biases of linear and convolution layers: uniform in ±1/sqrt(fanIn). */
export function defaultInitializer(fanIn: number): Initializer {
  return uniform(1 / Math.sqrt(fanIn));
}

/** A variable that training changes. */
export function parameter(shape: readonly number[], initializer: Initializer): Variable {
  return new Variable({ shape, trainable: true, initializer });
}

/** A variable that the forward pass may update, such as a running mean; an optional one keeps its value where a state dict lacks it. */
export function buffer(
  shape: readonly number[],
  initializer: Initializer,
  { optional = false }: { optional?: boolean } = {},
): Variable {
  return new Variable({ shape, trainable: false, initializer, optional });
}

/**
 * Gives a buffer a new value: later reads in the same trace see it, and the last one is kept after the step.
 * @throws ShapeError where the shapes differ
 */
export function update(variable: Variable, value: Tensor): void {
  requireTrace("update").setValue(variable, value);
}

/** The value of a variable at this point of the trace, whatever is updated later. */
export function read(variable: Variable): Tensor {
  // A node of its own (of no cost), as an operand that is a variable means its value where the operand is used.
  return requireTrace("read").updates.get(variable) ?? reshape(variable, { shape: variable.shape });
}
