import { FoveaError, ShapeError } from "../base/errors.js";
import type { Distribution } from "../base/noise.js";
import { formatShape, sameShape } from "./size.js";
import type { Tensor } from "./tensor.js";
import type { Variable } from "./variable.js";

export type { Distribution } from "../base/noise.js";

/** A random tensor that the runtime draws before each step. */
export interface NoiseInput {
  readonly tensor: Tensor;
  readonly distribution: Distribution;
  /** Name of the random stream, distinct within a trace. */
  readonly stream: string;
}

/** A call of a module's entry point, and what it returned. */
export interface ModuleCall {
  readonly path: string;
  readonly result: unknown;
}

/** What one trace collects. Modules hold none of it. */
export class Trace {
  /** Training (batch statistics, dropout) or evaluation. */
  readonly training: boolean;
  /** Named intermediates, by module path and name. */
  readonly taps = new Map<string, Tensor>();
  /** Current values of variables that were updated. */
  readonly updates = new Map<Variable, Tensor>();
  readonly noise: NoiseInput[] = [];
  /** In the order in which they ended. */
  readonly calls: ModuleCall[] = [];
  /** Paths of the modules of the traced model. */
  readonly paths: ReadonlyMap<object, string>;

  constructor(options: { training: boolean; paths: ReadonlyMap<object, string> }) {
    this.training = options.training;
    this.paths = options.paths;
  }

  /** `name`, or `name#2`, `name#3` ... where it is taken. */
  private unique(name: string, taken: (name: string) => boolean): string {
    if (!taken(name)) return name;
    let count = 2;
    while (taken(`${name}#${count}`)) count++;
    return `${name}#${count}`;
  }

  /** Names an intermediate under a path; a second one at the same path gets `#2`. */
  tap(path: string, tensor: Tensor): void {
    this.taps.set(
      this.unique(path, (name) => this.taps.has(name)),
      tensor,
    );
  }

  /** Gives a variable a new value for the rest of the trace. */
  setValue(variable: Variable, value: Tensor): void {
    if (!sameShape(variable.shape, value.shape) || variable.dtype !== value.dtype) {
      throw new ShapeError(
        `update: variable is ${variable.dtype} ${formatShape(variable.shape)}, value ${value.dtype} ${formatShape(value.shape)}`,
      );
    }
    this.updates.set(variable, value);
  }

  /** Declares a random input; a stream that is taken gets a number. */
  addNoise(stream: string, distribution: Distribution, create: (name: string) => Tensor): Tensor {
    const name = this.unique(stream, (candidate) => this.noise.some((noise) => noise.stream === candidate));
    const tensor = create(name);
    this.noise.push({ tensor, distribution, stream: name });
    return tensor;
  }
}

let active: Trace | undefined;
let scope = "";

/** Errors that name a module. */
const located = new WeakSet<ShapeError>();

/** The trace that is running, if any. Tracing is synchronous. */
export function activeTrace(): Trace | undefined {
  return active;
}

/** The running trace. @throws FoveaError outside of one */
export function requireTrace(what: string): Trace {
  if (!active) throw new FoveaError(`${what} is only possible while a model is traced (run, compile, fit)`);
  return active;
}

/** Runs `body` inside a trace, or outside of all. */
export function withTrace<T>(trace: Trace | undefined, body: () => T): T {
  const outer = active;
  const outerScope = scope;
  active = trace;
  scope = "";
  try {
    return body();
  } finally {
    active = outer;
    scope = outerScope;
  }
}

/** Path of the module whose code runs, for names and messages. */
export function currentScope(): string {
  return scope;
}

/** Runs `body` with the given module path. @throws ShapeError of the body, with the path */
export function withScope<T>(path: string, body: () => T): T {
  const outer = scope;
  scope = path;
  try {
    return body();
  } catch (error) {
    // The innermost module is the one to name.
    if (path === "" || !(error instanceof ShapeError) || located.has(error)) throw error;
    const named = new ShapeError(`${error.message} (in ${path})`, { cause: error });
    located.add(named);
    throw named;
  } finally {
    scope = outer;
  }
}
