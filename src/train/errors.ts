import { FoveaError } from "../base/errors.js";

/** What a training step can find to be infinite or not a number. */
export type NonFiniteKind =
  | "input"
  | "parameter"
  | "buffer"
  | "optimizer"
  | "accumulator"
  | "average"
  | "tap"
  | "module"
  | "loss"
  | "gradient"
  | "gradientNorm";

/** A value of a training step, named. */
export interface NonFiniteValue {
  readonly kind: NonFiniteKind;
  /** Path of the input, variable, tap or module; empty for the loss and the norm. */
  readonly path: string;
}

/** A training step whose loss or gradient is infinite or not a number. The state of the step before is kept. */
export class NonFiniteError extends FoveaError {
  override name = "NonFiniteError";
  /** Number of steps that were completed before. */
  readonly step: number;
  /** The first bad value in the order of computation. */
  readonly first: NonFiniteValue;

  constructor(step: number, first: NonFiniteValue, found: { loss: number; gradientNorm: number }) {
    super(
      `step ${step}: loss is ${found.loss}, norm of the gradient ${found.gradientNorm}; the first value that is not finite is ${describe(first)}; the state before the step is kept`,
    );
    this.step = step;
    this.first = first;
  }
}

function describe({ kind, path }: NonFiniteValue): string {
  switch (kind) {
    case "loss":
      return "the loss";
    case "gradientNorm":
      return "the norm of the gradient (each gradient is finite; their squares overflow)";
    case "gradient":
      return `the gradient of ${path}`;
    case "module":
      return `the output of module ${path}`;
    case "average":
      return `the moving average of ${path}`;
    case "optimizer":
      return `the optimizer's ${path}`;
    default:
      return `${kind} ${path}`;
  }
}
